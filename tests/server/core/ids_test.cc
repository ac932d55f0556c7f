#include "server/core/ids.h"

#include <gtest/gtest.h>

#include <set>

#include "server/core/random.h"

namespace uaqf::core {
namespace {

TEST(JobIds, AreShortReadableAndDifferent) {
  Random random(1);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = NewJobId([&] { return random.Next(); });
    EXPECT_TRUE(IsJobId(id)) << id;
    EXPECT_EQ(id.find_first_of("ilo01"), std::string::npos) << id;
    seen.insert(id);
  }
  EXPECT_GT(seen.size(), 995u);
}

TEST(JobIds, RefusesWhatIsNotOne) {
  for (const char* text : {"", "abc", "abcdefg", "2bcdef", "ABCDEF", "abc/ef", "abcdel"}) {
    EXPECT_FALSE(IsJobId(text)) << text;
  }
  EXPECT_FALSE(IsJobId(std::string("abcde\0", 6)));
}

TEST(PageTokens, ComeBackAsTheyWere) {
  const PageToken token{"records", 123456789012345, 42};
  const auto decoded = DecodePageToken("records", Encode(token));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->a, token.a);
  EXPECT_EQ(decoded->b, token.b);
}

TEST(PageTokens, BeginAtTheBeginningWhenEmpty) {
  const auto decoded = DecodePageToken("jobs", "");
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->a, 0);
}

TEST(PageTokens, AreRefusedWhenTheyAreNotOurs) {
  for (const std::string& text : {std::string("x"), std::string("!!"), std::string(10000, 'A'), Encode({"jobs", 1, 2}),
                                  Encode({"records", -1, 2}), std::string("\xff\x00", 2)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DecodePageToken("records", text).status())) << text;
  }
}

}  // namespace
}  // namespace uaqf::core
