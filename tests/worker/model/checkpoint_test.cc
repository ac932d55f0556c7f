#include "worker/model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/test_data.h"
#include "tests/worker/model/model_files.h"

namespace uaqf::model {
namespace {

using test::RandomWeights;
using test::Tensor;
using test::TinyConfig;
using test::WriteFile;
using ::testing::HasSubstr;

std::vector<float> Read(const Checkpoint& checkpoint, const std::string& name) {
  const TensorInfo info = checkpoint.Find(name).value();
  std::vector<float> values(static_cast<size_t>(info.rows * info.columns));
  EXPECT_TRUE(checkpoint.ReadRows(name, 0, info.rows, values).ok());
  return values;
}

void ExpectRefused(const absl::StatusOr<std::unique_ptr<Checkpoint>>& opened, const std::string& because) {
  ASSERT_FALSE(opened.ok()) << "expected: " << because;
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr(because));
}

std::string WrittenFolder() {
  const std::string folder = test::ScratchFolder();
  test::WriteHuggingFace(folder, test::HuggingFaceJson(TinyConfig()), RandomWeights(TinyConfig(), 7));
  return folder;
}

TEST(Checkpoint, ReadsBackWhatAFolderHolds) {
  const auto checkpoint = Checkpoint::Open(WrittenFolder());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (const Tensor& tensor : RandomWeights(TinyConfig(), 7)) {
    EXPECT_EQ(Read(**checkpoint, tensor.name), tensor.values) << tensor.name;
  }
  EXPECT_EQ((*checkpoint)->gguf(), nullptr);
}

TEST(Checkpoint, ReadsPartOfAMatrix) {
  const auto checkpoint = Checkpoint::Open(WrittenFolder());
  ASSERT_TRUE(checkpoint.ok());
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const std::vector<float> whole = Read(**checkpoint, name);
  std::vector<float> part(2 * 64);
  ASSERT_TRUE((*checkpoint)->ReadRows(name, 5, 2, part).ok());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 5 * 64));
  EXPECT_FALSE((*checkpoint)->ReadRows(name, 95, 2, part).ok());
  EXPECT_FALSE((*checkpoint)->ReadRows(name, -1, 2, part).ok());
  EXPECT_FALSE((*checkpoint)->ReadRows(name, 0, 1, part).ok());
  EXPECT_EQ((*checkpoint)->Find("no.such").status().code(), absl::StatusCode::kNotFound);
}

// The file holds rows of q and k interleaved; readers see rotate-half rows in both formats.
TEST(Checkpoint, GgufAndFolderOfOneModelAreEqual) {
  const std::string folder = test::ScratchFolder();
  WriteFile(folder + "/tiny.gguf", test::LlamaGguf(TinyConfig(), RandomWeights(TinyConfig(), 7)));
  const auto checkpoint = Checkpoint::Open(folder + "/tiny.gguf");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (const Tensor& tensor : RandomWeights(TinyConfig(), 7)) {
    EXPECT_EQ(Read(**checkpoint, tensor.name), tensor.values) << tensor.name;
  }
  EXPECT_EQ((*checkpoint)->config().name, "tiny");
  EXPECT_EQ((*checkpoint)->config().kv_heads, 2);
  ASSERT_NE((*checkpoint)->gguf(), nullptr);
}

TEST(Checkpoint, TiedEmbeddingsAreFoundUnderEitherName) {
  ModelConfig config = TinyConfig();
  config.tied_embeddings = true;
  std::vector<Tensor> tensors = RandomWeights(config, 7);
  const std::string folder = test::ScratchFolder();
  tensors[0].name = "lm_head.weight";  // as TinyStories-656K stores it
  test::WriteHuggingFace(folder, test::HuggingFaceJson(config), tensors);
  const auto checkpoint = Checkpoint::Open(folder);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(Read(**checkpoint, "model.embed_tokens.weight"), tensors[0].values);
  EXPECT_EQ(Read(**checkpoint, "lm_head.weight"), tensors[0].values);
}

TEST(Checkpoint, ReadsShards) {
  const std::vector<Tensor> tensors = RandomWeights(TinyConfig(), 7);
  const size_t half = tensors.size() / 2;
  const std::string folder = test::ScratchFolder();
  WriteFile(folder + "/config.json", test::HuggingFaceJson(TinyConfig()).dump());
  WriteFile(folder + "/a.safetensors", test::Safetensors({tensors.begin(), tensors.begin() + half}));
  WriteFile(folder + "/b.safetensors", test::Safetensors({tensors.begin() + half, tensors.end()}));
  nlohmann::json index;
  for (size_t i = 0; i < tensors.size(); ++i) {
    index["weight_map"][tensors[i].name] = i < half ? "a.safetensors" : "b.safetensors";
  }
  const std::string index_path = folder + "/model.safetensors.index.json";
  WriteFile(index_path, index.dump());
  {
    const auto checkpoint = Checkpoint::Open(folder);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_EQ(Read(**checkpoint, tensors.back().name), tensors.back().values);
  }
  index["weight_map"][tensors[0].name] = "b.safetensors";
  WriteFile(index_path, index.dump());
  ExpectRefused(Checkpoint::Open(folder), "is not in b.safetensors, where the index says it is");
  index["weight_map"][tensors[0].name] = "../a.safetensors";
  WriteFile(index_path, index.dump());
  ExpectRefused(Checkpoint::Open(folder), "expected a plain name");
  index["weight_map"][tensors[0].name] = "missing.safetensors";
  WriteFile(index_path, index.dump());
  ExpectRefused(Checkpoint::Open(folder), "No such file");
}

TEST(Checkpoint, RefusesPicklesByNameAndByMagic) {
  const std::string folder = test::ScratchFolder();
  for (const char* name : {"m.pt", "m.bin", "m.pth", "m.PKL", "m.ckpt"}) {
    WriteFile(folder + "/" + name, "anything");
    ExpectRefused(Checkpoint::Open(folder + "/" + name), "pickle");
  }
  WriteFile(folder + "/zip.gguf", std::string("PK\3\4 rest"));
  ExpectRefused(Checkpoint::Open(folder + "/zip.gguf"), "pickle");
  WriteFile(folder + "/raw.gguf", std::string("\x80\x02}q", 4));
  ExpectRefused(Checkpoint::Open(folder + "/raw.gguf"), "pickle");

  const std::string hugging = test::ScratchFolder();
  WriteFile(hugging + "/config.json", test::HuggingFaceJson(TinyConfig()).dump());
  WriteFile(hugging + "/pytorch_model.bin", "x");
  ExpectRefused(Checkpoint::Open(hugging), "pickle");
}

TEST(Checkpoint, SaysWhatIsWrongWithAPath) {
  const std::string folder = test::ScratchFolder();
  ExpectRefused(Checkpoint::Open(""), "expected a .gguf file or a Hugging Face folder");
  ExpectRefused(Checkpoint::Open(folder + "/none"), "no model at");
  ExpectRefused(Checkpoint::Open(folder), "config.json");
  WriteFile(folder + "/config.json", test::HuggingFaceJson(TinyConfig()).dump());
  ExpectRefused(Checkpoint::Open(folder), "neither model.safetensors nor");
  WriteFile(folder + "/x.txt", "hello");
  ExpectRefused(Checkpoint::Open(folder + "/x.txt"), "no GGUF");
  ASSERT_EQ(mkfifo((folder + "/pipe.gguf").c_str(), 0600), 0);
  ExpectRefused(Checkpoint::Open(folder + "/pipe.gguf"), "no regular file");
  ExpectRefused(Checkpoint::Open("/dev/zero"), "no regular file");
}

TEST(Checkpoint, RefusesMissingAndMisshapenTensors) {
  std::vector<Tensor> tensors = RandomWeights(TinyConfig(), 7);
  const std::string folder = test::ScratchFolder();
  const auto write = [&] { test::WriteHuggingFace(folder, test::HuggingFaceJson(TinyConfig()), tensors); };
  Tensor last = tensors.back();
  tensors.pop_back();
  write();
  ExpectRefused(Checkpoint::Open(folder), "no tensor model.layers.1.mlp.down_proj.weight");
  std::swap(last.shape[0], last.shape[1]);
  tensors.push_back(last);
  write();
  ExpectRefused(Checkpoint::Open(folder), "is 96 x 64, expected 64 x 96");
}

TEST(Checkpoint, NamesTheTensorOfATypeItCannotRead) {
  const std::string folder = WrittenFolder();
  std::string file = test::ReadFile(folder + "/model.safetensors");
  const size_t at = file.find("\"F32\"");
  file.replace(at, 5, "\"I32\"");
  WriteFile(folder + "/model.safetensors", file);
  ExpectRefused(Checkpoint::Open(folder), "is I32 of");
}

TEST(Checkpoint, DigestIsOfTheContent) {
  const std::string folder = WrittenFolder();
  const std::string first = Checkpoint::Open(folder).value()->Digest().value();
  EXPECT_EQ(first.size(), 64U);
  EXPECT_EQ(Checkpoint::Open(folder).value()->Digest().value(), first);
  EXPECT_EQ(Checkpoint::Open(WrittenFolder()).value()->Digest().value(), first);
  WriteFile(folder + "/tokenizer.json", "{}");
  EXPECT_NE(Checkpoint::Open(folder).value()->Digest().value(), first);
}

TEST(Checkpoint, DigestOfAFileIsItsSha256) {
  const std::string folder = test::ScratchFolder();
  WriteFile(folder + "/tiny.gguf", test::LlamaGguf(TinyConfig(), RandomWeights(TinyConfig(), 7)));
  FILE* sum = popen(("sha256sum " + folder + "/tiny.gguf").c_str(), "r");
  char printed[65] = {};
  ASSERT_EQ(fread(printed, 1, 64, sum), 64U);
  pclose(sum);
  EXPECT_EQ(Checkpoint::Open(folder + "/tiny.gguf").value()->Digest().value(), printed);
}

TEST(Checkpoint, ReadsTheDefaultModel) {
  UAQF_NEED_FILE(test::DefaultModel());
  const auto checkpoint = Checkpoint::Open(test::DefaultModel());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const ModelConfig& config = (*checkpoint)->config();
  EXPECT_EQ(config.release_format, "Q4_1");
  EXPECT_EQ(config.layers, 30);
  EXPECT_EQ(config.heads, 9);
  EXPECT_EQ(config.vocab, 49152);
  EXPECT_EQ(config.rope.theta, 100000.0);
  EXPECT_TRUE(config.tied_embeddings);
}

class ModelsFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteFile(models_ + "/tiny.gguf", test::LlamaGguf(TinyConfig(), RandomWeights(TinyConfig(), 7)));
    std::filesystem::create_directory(models_ + "/folder-1.0");
    test::WriteHuggingFace(models_ + "/folder-1.0", test::HuggingFaceJson(TinyConfig()),
                           RandomWeights(TinyConfig(), 7));
  }
  const std::string models_ = test::ScratchFolder();
};

TEST_F(ModelsFolder, FindsFilesAndFoldersByName) {
  EXPECT_EQ(Checkpoint::OpenNamed(models_, "tiny").value()->config().name, "tiny");
  EXPECT_EQ(Checkpoint::OpenNamed(models_, "folder-1.0").value()->config().name, "folder-1.0");
  EXPECT_EQ(Checkpoint::OpenNamed(models_, "none").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelsFolder, RefusesNamesThatCouldLeadElsewhere) {
  const std::string nul("tiny\0x", 6);
  for (const std::string& name :
       {std::string(""), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"),
        std::string("/etc/passwd"), std::string("%2e%2e"), nul, std::string(".hidden"), std::string(129, 'a'),
        std::string("a b"), std::string("a\\b"), std::string("\xff\xfe")}) {
    const auto opened = Checkpoint::OpenNamed(models_, name);
    ASSERT_FALSE(opened.ok()) << name;
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(ModelsFolder, FollowsNoLinksAndOpensNoPipes) {
  std::filesystem::create_symlink(models_ + "/tiny.gguf", models_ + "/link.gguf");
  std::filesystem::create_directory_symlink(models_ + "/folder-1.0", models_ + "/linked");
  std::filesystem::create_directory(models_ + "/inner");
  std::filesystem::create_symlink(models_ + "/folder-1.0/config.json", models_ + "/inner/config.json");
  ASSERT_EQ(mkfifo((models_ + "/pipe.gguf").c_str(), 0600), 0);
  for (const char* name : {"link", "linked", "inner", "pipe"}) {
    const auto opened = Checkpoint::OpenNamed(models_, name);
    ASSERT_FALSE(opened.ok()) << name;
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument) << opened.status();
  }
  // A person's own path may be a link: Hugging Face's cache is made of them.
  EXPECT_TRUE(Checkpoint::Open(models_ + "/link.gguf").ok());
  EXPECT_TRUE(Checkpoint::Open(models_ + "/linked").ok());
}

}  // namespace
}  // namespace uaqf::model
