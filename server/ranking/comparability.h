// Whether figures of two jobs may be compared: what must be equal for a difference to be the variants' own.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace uaqf::ranking {

// What jobs are compared by, in the order that mismatches are told.
enum class Trait {
  // As asked for.
  kPrompts,           // digest of the prompt set
  kText,              // of the text that losses are measured on; "" for none
  kTasks,             // of the task set; "" for none
  kArticles,          // of the articles; "" for none
  kContext,           // tokens of a window
  kInputTokens,       // that inputs are brought to
  kProseSeed,         // of what inputs are filled up with
  kOutputLength,      // how it is chosen
  kMostTokens,        // emitted at most
  kChat,              // whether prompts go through the chat template
  kWarmUps,           // generations before a chunk
  kClearCache,        // before a chunk
  kAgreementTokens,   // of an output that is generated again, at most; "" where none is
  kAgreementBatches,  // that it is generated in; "" where it is not
  // As the evidence of accepted attempts has it.
  kModel,      // digest of the checkpoint
  kTokenizer,  // digest of the tokenizer
  kDevice,     // name and id
  kBackend,
  kThreads,
  kIsa,  // that kernels were chosen for
  kDriver,
  kCuda,
  kBuild,  // of the worker, its kernels with it
};

// A job as far as it matters here.
struct JobIdentity {
  std::string job;        // "jobs/{job}"
  bool imported = false;  // published figures: nothing below is known
  // Several values where its workers differ. None: not known, since no chunk was accepted.
  std::map<Trait, std::set<std::string>> traits;
  // Digests of each variant's full configuration; more than one where its workers differ.
  std::map<std::string, std::set<std::string>> configurations;
  // The configurations themselves, as far as the model has no say in them: without the tokens calibrated on.
  std::map<std::string, std::set<std::string>> recipes;
};

struct Mismatch {
  std::string what;  // "driver", "configuration of rtn-w4"
  std::string one;   // its value in the first job, for people
  std::string other;
  std::string why;  // it matters
};

// What is to be compared.
enum class Scope {
  kFigures,  // times, losses and all that is ranked
  // Emitted tokens, which is asked of other devices, drivers and builds: model, tokenizer, prompts and how outputs are
  // generated. Whether a variant's configurations are the same is told variant by variant.
  kOutputs,
};

// Every mismatch; none: they may be compared. Symmetric but for the order of the values.
[[nodiscard]] std::vector<Mismatch> FindMismatches(const JobIdentity& one, const JobIdentity& other,
                                                   Scope scope = Scope::kFigures);

// Whether both measured the same checkpoint, or one of several that a job's workers had.
[[nodiscard]] bool OfOneModel(const JobIdentity& one, const JobIdentity& other);

// Every mismatch that is in the way of comparing what variants gain and lose in one model and in another. Model and
// tokenizer may differ; a text matters where both jobs have one; tasks and articles do not, since their figures are of
// no model but their own. Symmetric but for the order of the values.
[[nodiscard]] std::vector<Mismatch> FindMismatchesAcrossModels(const JobIdentity& one, const JobIdentity& other);

// "jobs/a and jobs/b cannot be compared:" and a line for each mismatch.
std::string MismatchText(const JobIdentity& one, const JobIdentity& other, const std::vector<Mismatch>& mismatches);

}  // namespace uaqf::ranking
