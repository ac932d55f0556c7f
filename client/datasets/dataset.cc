#include "client/datasets/dataset.h"

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/datasets/categories.h"
#include "client/datasets/readers.h"
#include "client/datasets/sample.h"
#include "client/failure.h"
#include "client/prompt_file.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"

namespace uaqf::client {

const std::vector<Dataset>& Datasets() {
  static const std::vector<Dataset>* const all = new std::vector<Dataset>{
      {"gsm8k", "GSM8K: school mathematics in words, answered with a number", "math_reasoning",
       "https://github.com/openai/grade-school-math (test.jsonl, train.jsonl)", "MIT",
       R"({"question": "…", "answer": "… #### 18"})", nullptr, ReadGsm8k, Gsm8kTarget},
      {"commonsense_qa", "CommonsenseQA: one of five choices", "commonsense_reasoning",
       "https://huggingface.co/datasets/tau/commonsense_qa or https://www.tau-nlp.org/commonsenseqa (validation, "
       "train)",
       "MIT", R"({"id": "…", "question": "…", "choices": {"label": ["A", …], "text": ["…", …]}, "answerKey": "A"})",
       nullptr, ReadCommonsenseQa, CommonsenseQaTarget},
      {"triviaqa", "TriviaQA: a short answer and its aliases, closed book", "knowledge_recall",
       "https://nlp.cs.washington.edu/triviaqa or https://huggingface.co/datasets/mandarjoshi/trivia_qa (rc.nocontext)",
       "Apache-2.0", R"({"Data": [{"QuestionId": "…", "Question": "…", "Answer": {"Value": "…", "Aliases": ["…"]}}]})",
       "Data", ReadTriviaQa, TriviaQaTarget},
      {"alpaca", "Alpaca: instructions, with an input or without", "instruction_following",
       "https://github.com/yizhongw/self-instruct (seed_tasks.jsonl, user_oriented_instructions.jsonl) or "
       "https://github.com/tatsu-lab/stanford_alpaca (alpaca_data.json)",
       "Apache-2.0 (self-instruct), CC BY-NC 4.0 (alpaca_data.json)",
       R"({"instruction": "…", "input": "…", "output": "…"})", nullptr, ReadAlpaca, nullptr},
      {"ifeval", "IFEval: instructions that a program can check", "instruction_following",
       "https://github.com/google-research/google-research/tree/master/instruction_following_eval (input_data.jsonl)",
       "Apache-2.0", R"({"key": 1000, "prompt": "…", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]})",
       nullptr, ReadIfeval, nullptr}};
  return *all;
}

const Dataset* FindDataset(absl::string_view name) {
  for (const Dataset& dataset : Datasets()) {
    if (name == dataset.name) return &dataset;
  }
  return nullptr;
}

absl::StatusOr<std::vector<v1::Prompt>> ReadDataset(const Dataset& dataset, absl::string_view bytes,
                                                    const std::string& file) {
  struct First {
    int line;
    std::size_t index;
  };
  std::vector<v1::Prompt> prompts;
  std::map<std::string, First> first_of;
  const auto take = [&](const Json& row, int line) -> Problem {
    v1::Prompt prompt;
    if (Problem problem = dataset.read(row, &prompt); !problem.empty()) return problem;
    prompt.set_category(dataset.category);
    prompt.set_group(GroupOf(dataset.category));
    if (prompt.ByteSizeLong() > kLargestPrompt) {
      return absl::StrCat("got a prompt of ", prompt.ByteSizeLong(), " bytes, expected at most ", kLargestPrompt);
    }
    const auto [first, fresh] = first_of.emplace(prompt.id(), First{line, prompts.size()});
    if (fresh) {
      prompts.push_back(std::move(prompt));
    } else if (prompt.SerializeAsString() != prompts[first->second.index].SerializeAsString()) {
      return absl::StrCat("got the id of the item on line ", first->second.line, " again (", prompt.id(),
                          "), expected another for another item");
    }
    return "";
  };
  const absl::Status read = ReadRows(bytes, file, dataset.array_key, dataset.example, take);
  if (read.ok()) return prompts;
  if (!prompts.empty()) return read;
  // Not one row was right: more likely another file than a damaged one.
  return UsageError(absl::StrCat(std::string(read.message()), "\nis this a file of ", dataset.name,
                                 "? one has rows like ", dataset.example, "\nsee: uaqf prompts import ", dataset.name,
                                 " --help"));
}

absl::Status AddShots(const Dataset& dataset, const std::vector<v1::Prompt>& pool, std::size_t shots,
                      std::uint64_t seed, std::vector<v1::Prompt>* prompts) {
  if (shots == 0) return absl::OkStatus();
  if (dataset.target == nullptr) {
    return UsageError(absl::StrCat("got ", shots, " shots, expected none: ", dataset.name, " is defined without"));
  }
  // One more than asked for, in place of a prompt that would be its own example.
  if (pool.size() < shots + 1) {
    return UsageError(
        absl::StrCat("got ", pool.size(), " items to draw ", shots, " shots from, expected at least ", shots + 1));
  }
  const auto drawn = Draw(pool, shots + 1, seed);
  if (!drawn.ok()) return drawn.status();
  for (v1::Prompt& prompt : *prompts) {
    std::string text;
    std::size_t left = shots;
    for (const v1::Prompt& shot : *drawn) {
      if (left == 0) break;
      if (shot.id() == prompt.id()) continue;
      absl::StrAppend(&text, shot.text(), dataset.target(shot), "\n\n");
      --left;
    }
    prompt.set_text(text + prompt.text());
  }
  return absl::OkStatus();
}

Problem NeedText(const Json& row, const char* key, std::string* out) {
  out->clear();
  if (Problem problem = ReadString(row, key, out); !problem.empty()) return problem;
  if (!absl::StripAsciiWhitespace(*out).empty()) return "";
  return absl::StrCat("got ", row.contains(key) ? "an empty" : "no", " \"", key, "\", expected text");
}

std::string StableId(const std::string& prefix, const std::string& own, std::initializer_list<std::string> parts) {
  if (const std::string id = absl::StrCat(prefix, "-", own); !own.empty() && wire::IsPlainId(id)) return id;
  std::string bytes;
  for (const std::string& part : parts) absl::StrAppend(&bytes, part.size(), ":", part);
  return absl::StrCat(prefix, "-", wire::Sha256Hex(bytes).substr(0, 16));
}

std::string OwnId(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end()) return "";
  if (found->is_number_integer()) return absl::StrCat(found->get<std::int64_t>());
  return found->is_string() ? found->get<std::string>() : "";
}

std::string Trimmed(const std::string& text) { return std::string(absl::StripAsciiWhitespace(text)); }

}  // namespace uaqf::client
