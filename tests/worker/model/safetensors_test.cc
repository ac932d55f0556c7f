#include "worker/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/worker/model/model_files.h"

namespace uaqf::model {
namespace {

using test::SafetensorsOf;
using ::testing::HasSubstr;

absl::StatusOr<SafetensorsTable> Parse(const std::string& bytes) {
  return ParseSafetensorsHeader({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

void ExpectRefused(const std::string& bytes, const std::string& because) {
  const absl::StatusOr<SafetensorsTable> table = Parse(bytes);
  ASSERT_FALSE(table.ok()) << "expected: " << because;
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(table.status().message()), HasSubstr(because));
}

std::string Entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return absl::StrCat("\"", name, R"(":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":)", offsets,
                      "}");
}

TEST(Safetensors, PlacesTensorsBehindTheHeader) {
  const std::string header = "{" + Entry("a", "[2,3]", "[0,12]", "F16") + "," + Entry("b", "[1]", "[12,16]") + "}";
  const absl::StatusOr<SafetensorsTable> table = Parse(SafetensorsOf(header, 16));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->at("a").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(table->at("a").begin, 8 + header.size());
  EXPECT_EQ(table->at("b").begin, 8 + header.size() + 12);
  EXPECT_EQ(table->at("b").bytes, 4U);
}

TEST(Safetensors, RefusesEveryTruncationOfAFile) {
  const std::string whole = test::Safetensors(test::RandomWeights(test::TinyConfig(), 1));
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t size = 0; size < whole.size(); size += size < 4096 ? 1 : 997) {
    EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << "cut to " << size << " bytes";
  }
  EXPECT_FALSE(Parse(whole + "x").ok());
}

TEST(Safetensors, RefusesHeadersThatLieAboutTheirLength) {
  ExpectRefused(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}"), "header");
  ExpectRefused(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}"), "header");
  ExpectRefused(std::string("\x03\0\0\0\0\0\0\0{}", 10), "a header of 3 bytes in a file of 10");
  ExpectRefused(SafetensorsOf("[]", 0), "no JSON object");
  ExpectRefused(SafetensorsOf("{", 0), "not valid JSON");
}

TEST(Safetensors, RefusesShapesThatOverflow) {
  // 2^62 x 4 values of 4 bytes wrap around to 0, and with one more dimension to 4.
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[4611686018427387904,4]", "[0,0]") + "}", 0), "over 2^63");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[4294967296,4294967296,1]", "[0,4]") + "}", 4), "over 2^63");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[18446744073709551615]", "[0,4]") + "}", 4), "bad or empty dimension");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[99999999999999999999]", "[0,4]") + "}", 4), "bad or empty dimension");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4), "more than 8");
}

TEST(Safetensors, RefusesOffsetsThatDoNotFitTheShapeOrTheFile) {
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[-4,0]") + "}", 4), "needs 4 bytes");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[4,0]") + "}", 4), "needs 4 bytes");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[2]", "[0,4]") + "}", 4), "needs 8 bytes");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4]") + "}", 0), "need more than");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4]") + "}", 8), "cover 4 of 8");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[4,8]") + "}", 8), "overlap or leave a gap");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4.5]") + "}", 4), "needs 4 bytes");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[9223372036854775804,9223372036854775807]") + "}", 4), "needs");
}

TEST(Safetensors, RefusesOverlapsAndGaps) {
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[2]", "[0,8]") + "," + Entry("b", "[1]", "[4,8]") + "}", 8), "overlap");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4]") + "," + Entry("b", "[1]", "[0,4]") + "}", 4), "overlap");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4]") + "," + Entry("b", "[1]", "[8,12]") + "}", 12), "gap");
}

TEST(Safetensors, RefusesEmptyTensorsThatReuseAnOffset) {
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[0]", "[0,0]") + "," + Entry("b", "[0]", "[0,0]") + "}", 0), "empty");
}

TEST(Safetensors, RefusesDuplicateNames) {
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4]") + "," + Entry("a", "[1]", "[4,8]") + "}", 8), "twice");
  ExpectRefused(SafetensorsOf(R"({"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}})", 4), "twice");
}

TEST(Safetensors, RefusesMoreTensorsThanAnyModelHas) {
  std::string header = "{";
  for (int i = 0; i < 100000; ++i) {
    absl::StrAppend(&header, i > 0 ? "," : "",
                    Entry(absl::StrCat("t", i), "[1]", absl::StrCat("[", i, ",", i + 1, "]"), "U8"));
  }
  ExpectRefused(SafetensorsOf(header + "}", 100000), "100000 tensors, expected at most 20000");
}

TEST(Safetensors, RefusesDeepJson) {
  ExpectRefused(SafetensorsOf(std::string(100000, '['), 0), "nested deeper");
  ExpectRefused(SafetensorsOf(R"({"a":)" + std::string(50, '[') + std::string(50, ']') + "}", 0), "nested deeper");
}

TEST(Safetensors, RefusesUnknownAndMissingFields) {
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4]", "F33") + "}", 4), "dtype \"F33\"");
  ExpectRefused(SafetensorsOf(R"({"a":{"dtype":"F32"}})", 4), "lacks");
  ExpectRefused(SafetensorsOf(R"({"a":5})", 4), "lacks");
  ExpectRefused(SafetensorsOf("{" + Entry("a", "[1]", "[0,4,8]") + "}", 4), "lacks");
}

}  // namespace
}  // namespace uaqf::model
