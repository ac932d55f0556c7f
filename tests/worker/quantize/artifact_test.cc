#include "worker/quantize/artifact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "kernels/fp16.h"
#include "tests/support/test_data.h"
#include "tests/worker/model/model_files.h"
#include "worker/quantize/artifact_cache.h"
#include "worker/quantize/block_file.h"

namespace uaqf::quantize {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

QuantizedMatrix Matrix(int bits, Granularity granularity, int seed) {
  QuantizedMatrix matrix;
  matrix.bits = bits;
  matrix.granularity = granularity;
  matrix.rows = 6;
  matrix.columns = 16;
  for (int i = 0; i < 96; ++i) matrix.codes.push_back(static_cast<int8_t>((i * 7 + seed) % 15 - 8));
  if (granularity == Granularity::kGroup) {
    matrix.group_size = 8;
    for (int i = 0; i < 12; ++i) matrix.group_scales.push_back(kernels::FloatToFp16(0.01F * static_cast<float>(i + 1)));
    for (int i = 0; i < 12; ++i) matrix.zeros.push_back(static_cast<int8_t>(i % 16 - 8));
    for (int i = 0; i < 16; ++i) matrix.order.push_back((i * 5 + seed) % 16);
  } else {
    matrix.scales.assign(granularity == Granularity::kTensor ? 1 : 6, 0.125F);
    matrix.input_scale = 0.5F;
  }
  return matrix;
}

QuantizedBlock Example(int seed) {
  QuantizedBlock block;
  block.attention_norm = {1, 2, static_cast<float>(seed)};
  block.mlp_norm = {4, 5, 6};
  for (size_t i = 0; i < kProjections; ++i) {
    const auto granularity = i == 0 ? Granularity::kTensor : i < 3 ? Granularity::kChannel : Granularity::kGroup;
    block.matrices[i] = Matrix(i < 2 ? 8 : 4, granularity, seed + static_cast<int>(i));
  }
  block.biases[1] = {1, 2, 3, 4, 5, 6};
  return block;
}

void ExpectEqual(const QuantizedBlock& a, const QuantizedBlock& b) {
  EXPECT_EQ(a.attention_norm, b.attention_norm);
  EXPECT_EQ(a.mlp_norm, b.mlp_norm);
  EXPECT_EQ(a.biases, b.biases);
  for (size_t i = 0; i < kProjections; ++i) {
    const QuantizedMatrix &x = a.matrices[i], &y = b.matrices[i];
    EXPECT_EQ(std::tie(x.bits, x.granularity, x.rows, x.columns, x.group_size, x.codes, x.scales, x.group_scales,
                       x.zeros, x.order, x.input_scale),
              std::tie(y.bits, y.granularity, y.rows, y.columns, y.group_size, y.codes, y.scales, y.group_scales,
                       y.zeros, y.order, y.input_scale))
        << i;
  }
}

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(BlockFile, ReadsBackWhatWasWritten) {
  const auto read = ReadBlock(Bytes(WriteBlock(Example(3), "key", 7)), "key", 7);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectEqual(*read, Example(3));
}

TEST(BlockFile, FindsEveryFlippedByte) {
  const std::string whole = WriteBlock(Example(3), "key", 7);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x21);
    const auto read = ReadBlock(Bytes(damaged), "key", 7);
    // A letter of the header may change what nobody reads, never what is read.
    if (read.ok()) ExpectEqual(*read, Example(3));
    EXPECT_EQ(CheckBlock(Bytes(damaged), "key", 7), read.status()) << "what is not read again is trusted by this alone";
  }
  EXPECT_EQ(ReadBlock(Bytes(whole.substr(0, whole.size() / 2)), "key", 7).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CheckBlock(Bytes(whole.substr(0, whole.size() / 2)), "key", 7).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadBlock({}, "key", 7).status().code(), absl::StatusCode::kDataLoss);
}

TEST(BlockFile, RefusesABlockOfAnotherKeyOrPlace) {
  const std::string file = WriteBlock(Example(3), "key", 7);
  EXPECT_EQ(ReadBlock(Bytes(file), "other", 7).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadBlock(Bytes(file), "key", 8).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckBlock(Bytes(file), "key", 8).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(QuantizedMatrixTest, ChecksFindWhatDoesNotFit) {
  const auto broken = [](auto change) {
    QuantizedMatrix matrix = Matrix(4, Granularity::kGroup, 1);
    change(matrix);
    return !CheckMatrix(matrix).ok();
  };
  EXPECT_TRUE(CheckMatrix(Matrix(4, Granularity::kGroup, 1)).ok());
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.codes[3] = 8; }));
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.codes.pop_back(); }));
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.zeros[0] = -9; }));
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.group_scales[0] = 0; }));
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.group_scales[0] = 0x7c00; }));
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.order[0] = m.order[1]; }));
  EXPECT_TRUE(broken([](QuantizedMatrix& m) { m.group_size = 5; }));
}

class ArtifactTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              absl::StrCat("artifact-", ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static ArtifactIdentity Identity(const std::string& config) { return {"tiny", "digest", "gptq-w4", config, 2}; }

  std::unique_ptr<Artifact> Open(const ArtifactIdentity& identity) {
    auto artifact = Artifact::Open(folder_.string(), identity);
    EXPECT_TRUE(artifact.ok()) << artifact.status();
    return *std::move(artifact);
  }

  static void Fill(Artifact& artifact) {
    for (int index = 0; index < 2; ++index) EXPECT_TRUE(artifact.Put(index, Example(index)).ok());
    EXPECT_TRUE(artifact.Finish().ok());
  }

  fs::path folder_;
};

TEST_F(ArtifactTest, IsCompleteOnceFinishedAndStaysSo) {
  const auto artifact = Open(Identity("{}"));
  EXPECT_FALSE(artifact->Complete());
  EXPECT_EQ(artifact->Get(0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(artifact->Put(0, Example(0)).ok());
  EXPECT_TRUE(artifact->Put(1, Example(1)).ok());
  EXPECT_FALSE(artifact->Complete());
  EXPECT_TRUE(artifact->Finish().ok());
  EXPECT_TRUE(artifact->Complete());
  const auto again = Open(Identity("{}"));
  EXPECT_TRUE(again->Complete());
  ExpectEqual(*again->Get(1), Example(1));
}

TEST_F(ArtifactTest, LeavesNoFileOfItsOwnBehind) {
  Fill(*Open(Identity("{}")));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    EXPECT_NE(entry.path().extension(), ".part");
    ++files;
  }
  EXPECT_EQ(files, 3);
}

TEST_F(ArtifactTest, ADamagedBlockCountsAsMissing) {
  const auto artifact = Open(Identity("{}"));
  Fill(*artifact);
  const std::string path = (folder_ / "block-00001.safetensors").string();
  std::string bytes = test::ReadFile(path);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  test::WriteFile(path, bytes);
  EXPECT_FALSE(artifact->Complete());
  EXPECT_EQ(artifact->Get(1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(artifact->Get(1).status().message()), HasSubstr("checksum"));
  EXPECT_TRUE(artifact->Get(0).ok());
}

TEST_F(ArtifactTest, AFinishedOneOfAnotherConfigurationIsLeftAlone) {
  Fill(*Open(Identity("{}")));
  const absl::Status status = Artifact::Open(folder_.string(), Identity("{\"a\":1}")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("name another folder"));
  EXPECT_TRUE(Open(Identity("{}"))->Complete());
}

TEST_F(ArtifactTest, AFolderThatCannotBeWrittenIsSaidAtOnce) {
  test::WriteFile(folder_.string(), "a file");
  EXPECT_EQ(Artifact::Open((folder_ / "below").string(), Identity("{}")).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ArtifactTest, TheCacheRemovesWhatWasUsedLongestAgo) {
  ArtifactCache all(folder_.string(), int64_t{1} << 40);
  std::vector<ArtifactIdentity> identities;
  for (int i = 0; i < 3; ++i) {
    identities.push_back(Identity(absl::StrCat("{\"n\":", i, "}")));
    Fill(**all.Open(identities.back()));
    // Used in the order 1, 2, 0: times are set, since clocks may be coarse.
    fs::last_write_time(folder_ / identities.back().Key(),
                        fs::file_time_type::clock::now() - std::chrono::hours(i == 0 ? 1 : 10 - i));
  }
  const auto size = [&](const ArtifactIdentity& identity) {
    int64_t bytes = 0;
    for (const auto& file : fs::directory_iterator(folder_ / identity.Key()))
      bytes += static_cast<int64_t>(file.file_size());
    return bytes;
  };
  const auto there = [&](int i) { return fs::exists(folder_ / identities[static_cast<size_t>(i)].Key()); };
  ArtifactCache two(folder_.string(), size(identities[0]) * 2 + 100);
  EXPECT_TRUE(two.Evict(identities[2]).ok());
  EXPECT_TRUE(there(0) && !there(1) && there(2));
  ArtifactCache none(folder_.string(), 0);
  EXPECT_TRUE(none.Evict(identities[2]).ok());
  EXPECT_TRUE(!there(0) && there(2));
}

}  // namespace
}  // namespace uaqf::quantize
