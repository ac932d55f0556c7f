// The tokenizer of synthetic models.
#include "worker/tokenizer/byte_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace uaqf::tokenizer {
namespace {

using testing::ElementsAre;

TEST(ByteTokenizer, TurnsEveryByteIntoATokenBehindBos) {
  const auto tokenizer = MakeByteTokenizer(512);
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_THAT(*tokenizer->Encode("A\n"), ElementsAre(1, 'A' + 3, '\n' + 3));
  EXPECT_THAT(*tokenizer->Encode(""), ElementsAre(1));
  EXPECT_TRUE(tokenizer->special().Stops(2));
}

TEST(ByteTokenizer, GivesATextBack) {
  const auto tokenizer = MakeByteTokenizer(259);
  const std::string text = "na\xc3\xafve \xe6\xbc\xa2\xe5\xad\x97";
  EXPECT_EQ(*tokenizer->Decode(*tokenizer->Encode(text)), text);
}

TEST(ByteTokenizer, DecodesEveryIdThatAModelCanChoose) {
  const auto tokenizer = MakeByteTokenizer(300);
  for (int32_t id = 0; id < 300; ++id) EXPECT_TRUE(tokenizer->Decode({id}).ok()) << id;
  EXPECT_EQ(*tokenizer->Decode({299}), " w299");
  EXPECT_FALSE(tokenizer->Decode({300}).ok());
}

}  // namespace
}  // namespace uaqf::tokenizer
