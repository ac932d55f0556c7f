// Tokenizers and texts that several tests use.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/test_data.h"
#include "worker/model/gguf.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

struct OracleCase {
  std::string text;
  // With control tokens read as such, and as ordinary text.
  std::vector<int32_t> ids;
  std::vector<int32_t> plain;
};

struct OracleTokenizer {
  // A whole tokenizer.json.
  std::string json;
  std::vector<OracleCase> cases;
};

// tests/data/bpe_oracle.json: name of the kind -> tokenizer and what Hugging Face's package makes of texts with it.
const std::map<std::string, OracleTokenizer>& BpeOracle();

// Metadata of a GGUF file with the vocabulary and merges of a tokenizer.json.
model::GgufMetadata GgufOf(const std::string& tokenizer_json, const std::string& pre_tokenizer);

// The default model's tokenizer.
std::unique_ptr<Tokenizer> SmolLm2();

// llama2.c's export of the Llama tokenizer holds pieces and scores, as GGUF files of Llama 2 do: this is its metadata.
model::GgufMetadata LlamaGguf();

// WikiText-2's test split as the published perplexities join it: rows of blank lines are "", the others keep their
// newline, "\n\n" between rows.
std::string JoinedWikiText();

}  // namespace uaqf::tokenizer
