#include "server/store/record_codec.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/server/store/store_fixture.h"

namespace uaqf::store {
namespace {

TEST(RecordCodec, GivesBackWhatWasEncoded) {
  const std::vector<core::RecordRow> rows = {TimingRow(0, 0), TimingRow(7, 3), core::RecordRow{}};
  const auto decoded = DecodeBatch(EncodeBatch(rows));
  ASSERT_TRUE(decoded.ok());
  ASSERT_EQ(decoded->size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(decoded->at(i).item, rows[i].item);
    EXPECT_EQ(decoded->at(i).repeat, rows[i].repeat);
    EXPECT_EQ(decoded->at(i).blob, rows[i].blob);
  }
  EXPECT_TRUE(DecodeBatch("")->empty());
}

TEST(RecordCodec, RefusesEveryTruncation) {
  const std::string body = EncodeBatch({TimingRow(0, 0)});
  for (std::size_t size = 1; size < body.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeBatch(body.substr(0, size)).status())) << size;
  }
}

TEST(RecordCodec, SeesEveryChangedBitOfABatch) {
  const std::string body = EncodeBatch({TimingRow(0, 0), TimingRow(1, 0)});
  const std::int64_t good = Check(body);
  for (std::size_t bit = 0; bit < body.size() * 8; ++bit) {
    std::string bad = body;
    bad[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_NE(Check(bad), good) << bit;
  }
}

TEST(RecordCodec, SeesEveryChangedFigure) {
  const core::RecordRow row = TimingRow(1, 2);
  const std::int64_t good = Check(row);
  const auto changed = [&](auto change) {
    core::RecordRow other = row;
    change(&other);
    return Check(other) != good;
  };
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->item; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->repeat; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { r->body = core::RecordBody::kWindow; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->input_tokens; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->output_tokens; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->latency_ns; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->tokenize_ns; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->prefill_ns; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->decode_ns; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->detokenize_ns; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { ++r->scored_tokens; }));
  EXPECT_TRUE(changed([](core::RecordRow* r) { r->nll_sum = 1e-300; }));
}

}  // namespace
}  // namespace uaqf::store
