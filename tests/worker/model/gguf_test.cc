#include "worker/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_data.h"
#include "tests/worker/model/model_files.h"

namespace uaqf::model {
namespace {

using test::GgufBytes;
using ::testing::HasSubstr;

absl::StatusOr<GgufFile> Parse(const std::string& bytes) {
  return ParseGguf({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

void ExpectRefused(const std::string& bytes, const std::string& because) {
  const absl::StatusOr<GgufFile> file = Parse(bytes);
  ASSERT_FALSE(file.ok()) << "expected: " << because;
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(because));
}

// One F32 tensor of 8 values at `offset`, with 64 bytes of data.
std::string OneTensor(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
  return GgufBytes(1, 0).TensorRow("t", dims, type, offset).Pad().Raw(std::string(64, '\1')).bytes();
}

TEST(Gguf, ReadsEveryKindOfValue) {
  GgufBytes bytes(0, 7);
  bytes.StringPair("s", "text").U32Pair("u", 7).F32Pair("f", 0.5F).StringsPair("ss", {"a", "", "bc"});
  bytes.Text("b").U32(7).Raw(std::string(1, '\1'));
  bytes.Text("i8").U32(9).U32(1).U64(2).Raw("\xff\x02");
  bytes.Text("fs").U32(9).U32(6).U64(1).U32(0x3f000000);
  const absl::StatusOr<GgufFile> file = Parse(bytes.Pad().bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufMetadata& metadata = file->metadata;
  EXPECT_EQ(metadata.String("s").value(), "text");
  EXPECT_EQ(metadata.Int("u").value(), 7);
  EXPECT_EQ(metadata.Float("f").value(), 0.5);
  EXPECT_EQ(metadata.Float("u").value(), 7.0);
  EXPECT_TRUE(metadata.Bool("b").value());
  EXPECT_EQ(*metadata.Strings("ss").value(), (std::vector<std::string>{"a", "", "bc"}));
  EXPECT_EQ(*metadata.Ints("i8").value(), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(*metadata.Floats("fs").value(), (std::vector<double>{0.5}));
  EXPECT_EQ(metadata.Int("absent").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(metadata.Int("s").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Gguf, PlacesTensorsBehindThePaddedTables) {
  const absl::StatusOr<GgufFile> file = Parse(OneTensor({4, 2}, 0, 32));
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufTensor& tensor = file->tensors.at("t");
  EXPECT_EQ(tensor.rows, 2);
  EXPECT_EQ(tensor.columns, 4);
  EXPECT_EQ(tensor.bytes, 32U);
  EXPECT_EQ(tensor.begin % 32, 0U);
}

TEST(Gguf, RefusesEveryTruncationOfAFile) {
  const std::string whole = test::LlamaGguf(test::TinyConfig(), test::RandomWeights(test::TinyConfig(), 1));
  ASSERT_TRUE(Parse(whole).ok());
  // Every cut inside the tables, and coarser ones through the data.
  for (size_t size = 0; size < whole.size(); size += size < 4096 ? 1 : 997) {
    EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << "cut to " << size << " bytes";
  }
}

TEST(Gguf, SurvivesAnySingleCorruptedByteOfItsTables) {
  const std::string whole = test::LlamaGguf(test::TinyConfig(), test::RandomWeights(test::TinyConfig(), 1));
  for (size_t at = 0; at < 2048; ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      const absl::StatusOr<GgufFile> file = Parse(bytes);
      if (!file.ok()) continue;
      for (const auto& [name, tensor] : file->tensors) {
        ASSERT_LE(tensor.begin + tensor.bytes, bytes.size()) << "byte " << at;
      }
    }
  }
}

TEST(Gguf, RefusesWhatIsNoGguf) {
  ExpectRefused("", "no \"GGUF\" header");
  ExpectRefused(std::string(100, 'x'), "no \"GGUF\" header");
  ExpectRefused(GgufBytes(0, 0, 1).Pad().bytes(), "version 1");
  ExpectRefused(GgufBytes(0, 0, 0x03000000).Pad().bytes(), "version");  // big endian
}

TEST(Gguf, RefusesCountsBeyondTheFile) {
  ExpectRefused(GgufBytes(uint64_t{1} << 60, 0).bytes(), "tensors, expected at most");
  ExpectRefused(GgufBytes(0, uint64_t{1} << 60).bytes(), "metadata pairs, expected at most");
  ExpectRefused(GgufBytes(0, 1).Text("k").U32(9).U32(10).U64(uint64_t{1} << 61).bytes(), "claims");
  ExpectRefused(GgufBytes(0, 1).Text("k").U32(9).U32(8).U64(1000).Raw("short").bytes(), "claims 1000 elements");
  ExpectRefused(GgufBytes(0, 1).U64(UINT64_MAX).Raw("key").bytes(), "metadata ends");
  ExpectRefused(GgufBytes(0, 1).Text("k").U32(8).U64(UINT64_MAX - 3).bytes(), "metadata ends");
}

TEST(Gguf, RefusesUnknownAndNestedTypes) {
  ExpectRefused(GgufBytes(0, 1).Text("k").U32(13).U64(0).bytes(), "has type 13");
  ExpectRefused(GgufBytes(0, 1).Text("k").U32(9).U32(9).U64(1).bytes(), "elements of type 9");
  ExpectRefused(OneTensor({8}, 2000000000, 0), "GGUF type 2000000000");
  ExpectRefused(OneTensor({32}, 6, 0), "this build reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q6_K");  // Q5_0
}

TEST(Gguf, RefusesShapesThatOverflowOrAreEmpty) {
  const uint64_t huge = uint64_t{1} << 62;
  ExpectRefused(OneTensor({huge, 4, 4}, 0, 0), "malformed");
  ExpectRefused(OneTensor({4, huge, huge}, 0, 0), "malformed");
  ExpectRefused(OneTensor({uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0), "malformed");
  ExpectRefused(OneTensor({uint64_t{1} << 31, uint64_t{1} << 31}, 0, 0), "got");  // 2^62 values, 2^64 bytes
  ExpectRefused(OneTensor({8, 0}, 0, 0), "dimension of 0");
  ExpectRefused(OneTensor({UINT64_MAX}, 0, 0), "dimension of -1");
  ExpectRefused(OneTensor({}, 0, 0), "has 0 dimensions");
  ExpectRefused(OneTensor({1, 1, 1, 1, 1}, 0, 0), "has 5 dimensions");
  ExpectRefused(OneTensor({33}, 8, 0), "no whole blocks of Q8_0");
}

TEST(Gguf, RefusesTensorsOutsideTheFile) {
  ExpectRefused(OneTensor({8}, 0, 64), "claims 32 bytes at offset 64");
  ExpectRefused(OneTensor({8}, 0, UINT64_MAX - 31), "claims 32 bytes");
  ExpectRefused(OneTensor({8}, 0, 8), "alignment 32");
  ExpectRefused(OneTensor({17}, 0, 0), "claims 68 bytes");
}

TEST(Gguf, RefusesOverlapsAndDuplicates) {
  const std::string data(64, '\0');
  ExpectRefused(GgufBytes(2, 0).TensorRow("a", {9}, 0, 0).TensorRow("b", {4}, 0, 32).Pad().Raw(data).bytes(),
                "overlap");
  ExpectRefused(GgufBytes(2, 0).TensorRow("a", {4}, 0, 0).TensorRow("a", {4}, 0, 32).Pad().Raw(data).bytes(), "twice");
  ExpectRefused(GgufBytes(0, 2).U32Pair("k", 1).U32Pair("k", 2).Pad().bytes(), "twice");
}

TEST(Gguf, RefusesAlignmentThatIsNoPowerOfTwo) {
  for (const uint32_t alignment : {0U, 3U, 1U << 20}) {
    ExpectRefused(GgufBytes(0, 1).U32Pair("general.alignment", alignment).Pad().bytes(), "alignment");
  }
}

TEST(Gguf, ReadsTheDefaultModel) {
  UAQF_NEED_FILE(test::DefaultModel());
  const absl::StatusOr<GgufFile> file = Parse(test::ReadFile(test::DefaultModel()));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors.size(), 272U);
  EXPECT_EQ(file->metadata.String("tokenizer.ggml.pre").value(), "smollm");
  EXPECT_EQ(file->metadata.Strings("tokenizer.ggml.tokens").value()->size(), 49152U);
}

}  // namespace
}  // namespace uaqf::model
