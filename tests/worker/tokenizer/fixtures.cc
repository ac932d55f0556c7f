#include "tests/worker/tokenizer/fixtures.h"

#include <cstring>

#include "worker/model/checkpoint.h"
#include "worker/tokenizer/load.h"

namespace uaqf::tokenizer {

const std::map<std::string, OracleTokenizer>& BpeOracle() {
  static const auto& oracle = *[] {
    auto* all = new std::map<std::string, OracleTokenizer>();
    const auto file = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/data/bpe_oracle.json")));
    for (const auto& [name, entry] : file.items()) {
      OracleTokenizer& tokenizer = (*all)[name];
      tokenizer.json = entry["tokenizer"].dump();
      for (const auto& row : entry["cases"]) {
        OracleCase one;
        one.text = row["text"];
        one.ids = row["ids"].get<std::vector<int32_t>>();
        one.plain = row.contains("plain") ? row["plain"].get<std::vector<int32_t>>() : one.ids;
        tokenizer.cases.push_back(one);
      }
    }
    return all;
  }();
  return oracle;
}

model::GgufMetadata GgufOf(const std::string& tokenizer_json, const std::string& pre_tokenizer) {
  const auto file = nlohmann::json::parse(tokenizer_json);
  const auto& vocab = file["model"]["vocab"];
  size_t size = vocab.size();
  for (const auto& token : file["added_tokens"]) size += vocab.contains(token["content"]) ? 0 : 1;
  std::vector<std::string> tokens(size);
  std::vector<int64_t> types(size, 1);
  for (const auto& [token, id] : vocab.items()) tokens[id.get<size_t>()] = token;
  for (const auto& token : file["added_tokens"]) {
    tokens[token["id"].get<size_t>()] = token["content"];
    types[token["id"].get<size_t>()] = token["special"] ? 3 : 4;
  }
  std::vector<std::string> merges;
  for (const auto& merge : file["model"]["merges"]) {
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  model::GgufMetadata metadata;
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.model", std::string("gpt2")));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.pre", pre_tokenizer));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.tokens", tokens));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.token_type", types));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.merges", merges));
  return metadata;
}

std::unique_ptr<Tokenizer> SmolLm2() {
  auto checkpoint = model::Checkpoint::Open(test::DefaultModel());
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  auto tokenizer = LoadTokenizer(**checkpoint);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

model::GgufMetadata LlamaGguf() {
  const std::string file = test::ReadFile(test::SharedData("tokenizers/llama-tokenizer.llama2c.bin"));
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<int64_t> types;
  for (size_t at = 4; at < file.size();) {
    float score = 0;
    int32_t length = 0;
    std::memcpy(&score, file.data() + at, 4);
    std::memcpy(&length, file.data() + at + 4, 4);
    std::string piece = file.substr(at + 8, static_cast<size_t>(length));
    at += 8 + static_cast<size_t>(length);
    const size_t id = tokens.size();
    for (size_t space = piece.find(' '); space != std::string::npos; space = piece.find(' ')) {
      piece.replace(space, 1, "\xE2\x96\x81");
    }
    if (id == 1) piece = "<s>";
    if (id == 2) piece = "</s>";
    tokens.push_back(piece);
    scores.push_back(score);
    types.push_back(id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
  }
  model::GgufMetadata metadata;
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.model", std::string("llama")));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.tokens", tokens));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.scores", scores));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.token_type", types));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.bos_token_id", int64_t{1}));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.eos_token_id", int64_t{2}));
  EXPECT_TRUE(metadata.Insert("tokenizer.ggml.unknown_token_id", int64_t{0}));
  return metadata;
}

std::string JoinedWikiText() {
  const std::string raw = test::ReadFile(test::SharedData("wikitext2/wiki.test.raw"));
  std::string joined;
  for (size_t begin = 0; begin < raw.size();) {
    const size_t end = raw.find('\n', begin);
    const std::string line = raw.substr(begin, end - begin + 1);
    if (begin > 0) joined += "\n\n";
    if (line.find_first_not_of(" \n") != std::string::npos) joined += line;
    begin = end + 1;
  }
  return joined;
}

}  // namespace uaqf::tokenizer
