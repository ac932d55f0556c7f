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

TEST(RecordCodec, GivesBackABatchWithItsShares) {
  core::RecordRow row;
  row.body = core::RecordBody::kTraffic;
  row.item = 5;
  row.repeat = 2;
  row.batch = 32;
  row.input_tokens = 65536;
  row.output_tokens = 64;
  row.latency_ns = 3'000'000;
  row.prefill_ns = 1'000'000;
  row.decode_ns = 2'000'000;
  row.prefill_shares = {0.125, 0.75};
  row.decode_shares = {0.875, 1e-9};
  const auto decoded = DecodeFigures(EncodeFigures({row}));
  ASSERT_TRUE(decoded.ok());
  const core::RecordRow& got = decoded->at(0);
  EXPECT_EQ(got.batch, 32);
  EXPECT_EQ(got.input_tokens, 65536);
  EXPECT_EQ(got.output_tokens, 64);
  EXPECT_EQ(got.latency_ns, row.latency_ns);
  EXPECT_EQ(got.prefill_ns, row.prefill_ns);
  EXPECT_EQ(got.decode_ns, row.decode_ns);
  EXPECT_EQ(got.prefill_shares, row.prefill_shares);
  EXPECT_EQ(got.decode_shares, row.decode_shares);
  EXPECT_EQ(got.tokenize_ns, 0) << "the shares' place is left";
  EXPECT_EQ(got.scored_tokens, 0);
  EXPECT_EQ(got.nll_sum, 0);
}

TEST(RecordCodec, GivesBackEveryFigure) {
  core::RecordRow row = TimingRow(1, 2);
  row.scored_tokens = 2047;
  row.nll_sum = std::numeric_limits<double>::infinity();
  row.latency_ns = std::numeric_limits<std::int64_t>::max();
  const auto decoded = DecodeFigures(EncodeFigures({TimingRow(0, 0), row}));
  ASSERT_TRUE(decoded.ok());
  ASSERT_EQ(decoded->size(), 2u);
  const core::RecordRow& got = decoded->at(1);
  EXPECT_EQ(got.item, row.item);
  EXPECT_EQ(got.repeat, row.repeat);
  EXPECT_EQ(got.body, row.body);
  EXPECT_EQ(got.input_tokens, row.input_tokens);
  EXPECT_EQ(got.output_tokens, row.output_tokens);
  EXPECT_EQ(got.latency_ns, row.latency_ns);
  EXPECT_EQ(got.tokenize_ns, row.tokenize_ns);
  EXPECT_EQ(got.prefill_ns, row.prefill_ns);
  EXPECT_EQ(got.decode_ns, row.decode_ns);
  EXPECT_EQ(got.detokenize_ns, row.detokenize_ns);
  EXPECT_EQ(got.scored_tokens, row.scored_tokens);
  EXPECT_EQ(got.nll_sum, row.nll_sum);
}

TEST(RecordCodec, GivesBackTheChecksOfATask) {
  core::RecordRow row;
  row.item = 3;
  row.body = core::RecordBody::kTask;
  row.output_tokens = 40;
  row.checks = {{6, 0, 1}, {7, 1, 1}, {8, 2, 3}, {9, 3, 65535}, {14, 1, 1}};
  const auto decoded = DecodeFigures(EncodeFigures({row, TimingRow(1, 0)}));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->at(0).checks, row.checks);
  EXPECT_EQ(decoded->at(0).output_tokens, 40);
  EXPECT_EQ(decoded->at(0).latency_ns, 0) << "a task has no time";
  EXPECT_TRUE(decoded->at(1).checks.empty());
}

TEST(RecordCodec, GivesBackBothSidesOfABoundedDivergence) {
  core::RecordRow row;
  row.body = core::RecordBody::kDivergence;
  row.scored_tokens = 2047;
  row.kl_sum = 1.5;
  row.kl_upper_sum = 2.25;
  row.summary_k = 4096;
  row.top_k = 10;
  row.shared_top = 7;
  core::RecordRow exact = row;
  exact.summary_k = 0;
  exact.kl_upper_sum = exact.kl_sum;
  const auto decoded = DecodeFigures(EncodeFigures({row, exact}));
  ASSERT_TRUE(decoded.ok());
  for (int i = 0; i < 2; ++i) {
    const core::RecordRow& expected = i == 0 ? row : exact;
    EXPECT_EQ(decoded->at(i).kl_sum, expected.kl_sum);
    EXPECT_EQ(decoded->at(i).kl_upper_sum, expected.kl_upper_sum);
    EXPECT_EQ(decoded->at(i).summary_k, expected.summary_k);
    EXPECT_EQ(decoded->at(i).shared_top, 7);
    EXPECT_EQ(decoded->at(i).decode_ns, 0) << "a divergence has no time";
    EXPECT_EQ(decoded->at(i).detokenize_ns, 0);
  }
}

TEST(RecordCodec, GivesBackASummary) {
  core::RecordRow row;
  row.body = core::RecordBody::kSummary;
  row.scored_tokens = 2047;
  row.summary_k = 4096;
  const auto decoded = DecodeFigures(EncodeFigures({row}));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->at(0).summary_k, 4096);
  EXPECT_EQ(decoded->at(0).decode_ns, 0);
}

TEST(RecordCodec, GivesBackADivergence) {
  core::RecordRow row;
  row.body = core::RecordBody::kDivergence;
  row.scored_tokens = 2047;
  row.kl_sum = 12.5;
  row.same_top = 1900;
  row.top_k = 10;
  row.shared_top = 19000;
  const auto decoded = DecodeFigures(EncodeFigures({row}));
  ASSERT_TRUE(decoded.ok());
  const core::RecordRow& got = decoded->at(0);
  EXPECT_EQ(got.scored_tokens, row.scored_tokens);
  EXPECT_EQ(got.kl_sum, row.kl_sum);
  EXPECT_EQ(got.same_top, row.same_top);
  EXPECT_EQ(got.top_k, row.top_k);
  EXPECT_EQ(got.shared_top, row.shared_top);
  EXPECT_EQ(got.nll_sum, 0) << "nor has it a likelihood";
}

TEST(RecordCodec, GivesBackAnArticle) {
  core::RecordRow row;
  row.item = 61;
  row.body = core::RecordBody::kArticle;
  row.scored_tokens = 5000;
  row.nll_sum = 12345.5;
  row.words = 3900;
  row.bytes = 21000;
  const auto decoded = DecodeFigures(EncodeFigures({row}));
  ASSERT_TRUE(decoded.ok());
  const core::RecordRow& got = decoded->at(0);
  EXPECT_EQ(got.scored_tokens, row.scored_tokens);
  EXPECT_EQ(got.nll_sum, row.nll_sum);
  EXPECT_EQ(got.words, row.words);
  EXPECT_EQ(got.bytes, row.bytes);
  EXPECT_EQ(got.latency_ns, 0) << "an article has no time";
}

TEST(RecordCodec, RefusesFiguresThatAreCutShort) {
  const std::string figures = EncodeFigures({TimingRow(0, 0)});
  for (std::size_t size = 1; size < figures.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeFigures(figures.substr(0, size)).status())) << size;
  }
}

}  // namespace
}  // namespace uaqf::store
