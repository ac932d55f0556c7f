#include "worker/evaluate/engine_evaluator.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/answer_task.h"
#include "worker/evaluate/article.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/compare_window.h"
#include "worker/evaluate/hosted_variant.h"
#include "worker/evaluate/perplexity.h"
#include "worker/evaluate/shared_passage.h"
#include "worker/evaluate/tasks/wikitext.h"
#include "worker/evaluate/time_batch.h"
#include "worker/evaluate/together.h"
#include "worker/measure/cpu_monitor.h"
#include "worker/measure/generation.h"
#include "worker/measure/input_length.h"
#include "worker/model/digest.h"
#include "worker/quantize/prose.h"
#include "worker/tokenizer/digest.h"

namespace uaqf::evaluate {
namespace {

// A TextModel that can only encode: what a survey needs.
class EncoderOnly final : public measure::TextModel {
 public:
  explicit EncoderOnly(const OpenModel& model) : model_(model) {}
  absl::StatusOr<std::vector<int32_t>> Encode(const measure::Prompt& prompt, bool chat) override {
    return model_.Encode(prompt, chat);
  }
  absl::StatusOr<int32_t> Prefill(const std::vector<int32_t>&) override { return NoWeights(); }
  absl::StatusOr<int32_t> Decode(int32_t) override { return NoWeights(); }
  absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& ids) override {
    return model_.tokenizer().Decode(ids);
  }
  bool IsEnd(int32_t token) const override { return model_.IsEnd(token); }
  int32_t max_sequence_tokens() const override { return static_cast<int32_t>(model_.config().context); }

 private:
  static absl::Status NoWeights() { return absl::FailedPreconditionError("a survey has no weights"); }
  const OpenModel& model_;
};

// The error of a comparison in one process, with the way out where it failed for lack of memory.
absl::Status WithoutRoomAdvice(const absl::Status& error) {
  if (!absl::IsResourceExhausted(error)) return error;
  return absl::ResourceExhaustedError(
      absl::StrCat(error.message(),
                   ". FP16 and the variant do not fit on this device together: compare them by summaries "
                   "(quality.divergence_mode STREAMED, `uaqf jobs submit --divergence-mode streamed`)"));
}

// INVALID_ARGUMENT when a variant would be calibrated on what is scored. A variant that there is not is refused when it
// is to be hosted, so that the others go on.
absl::Status CheckCalibrationTexts(const std::vector<measure::SurveyedVariant>& variants, const char* scored_name,
                                   const std::string& scored) {
  std::set<std::string> checked;
  for (const measure::SurveyedVariant& surveyed : variants) {
    const auto variant = quantize::FindVariant(surveyed.name);
    if (!variant.ok() || !quantize::NeedsCalibration(*variant)) continue;
    const measure::PromptSet* text = surveyed.calibration_text;
    if (!checked.insert(text == nullptr ? "" : text->name).second) continue;
    absl::Status other =
        text == nullptr ? CheckNotScored(absl::StrCat("the prose that ", surveyed.name, " is calibrated on by default"),
                                         quantize::CalibrationProse(), scored_name, scored)
                        : CheckNotScored(absl::StrCat(text->name, ", the calibration text of ", surveyed.name, ","),
                                         JoinPieces(*text), scored_name, scored);
    if (!other.ok()) return other;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const OpenModel>> EngineEvaluator::Open(const std::string& id) {
  if (open_ != nullptr && open_id_ == id) return open_;
  auto models = FindModels(options_.models);
  if (!models.ok()) return models.status();
  if (options_.synthetic) models->merge(SyntheticModels());
  const auto found = models->find(id);
  if (found == models->end()) {
    return absl::NotFoundError(absl::StrCat("model ", id, ": not below ", options_.models, " on this worker"));
  }
  auto opened = OpenModel::Open(found->second);
  if (!opened.ok()) return opened.status();
  open_ = *std::move(opened);
  open_id_ = id;
  return open_;
}

absl::Status EngineEvaluator::Load(const measure::HostRequest& request) {
  Unload();
  auto model = Open(request.model);
  if (!model.ok()) return model.status();
  auto variant = ResolveVariant(**model, request.variant, options_.models);
  if (!variant.ok()) return variant.status();
  const model::ModelConfig& config = (*model)->config();
  if (request.max_sequence_tokens > config.context) {
    return absl::InvalidArgumentError(absl::StrCat("sequence of ", request.max_sequence_tokens,
                                                   " tokens: expected at most ", config.context, ", the context of ",
                                                   request.model, "; shorten the prompts or the output"));
  }
  auto digest = (*model)->checkpoint().Digest();
  if (!digest.ok()) return digest.status();
  auto tokenizer_digest = tokenizer::TokenizerDigest((*model)->tokenizer());
  if (!tokenizer_digest.ok()) return tokenizer_digest.status();
  engine::EngineOptions options = {options_.device, options_.threads, options_.cpu_set, request.max_sequence_tokens};
  CalibratedVariant calibrated;
  if (quantize::NeedsCalibration(variant->variant)) {
    auto prepared = Calibrated(**model, variant->variant, request);
    if (!prepared.ok()) return prepared.status();
    calibrated = *std::move(prepared);
    options.blocks = calibrated.blocks();
    variant->config = calibrated.config;
  }
  options.max_batch = request.max_batch;
  auto engine = engine::Engine::Create(variant->weights(**model), variant->variant, options);
  no_batches_ = absl::OkStatus();
  if (absl::IsUnimplemented(engine.status()) && options.max_batch > 1) {
    no_batches_ = engine.status();
    options.max_batch = 1;
    engine = engine::Engine::Create(variant->weights(**model), variant->variant, options);
  }
  if (!engine.ok()) return engine.status();
  engine_ = *std::move(engine);
  hosted_ = *std::move(model);
  text_model_ = std::make_unique<EngineTextModel>(*hosted_, *engine_);
  identity_ = {*std::move(digest), model::Sha256(variant->config), std::move(variant->config),
               *std::move(tokenizer_digest)};
  return absl::OkStatus();
}

absl::StatusOr<CalibratedVariant> EngineEvaluator::Calibrated(const OpenModel& model, const quantize::Variant& variant,
                                                              const measure::HostRequest& request) const {
  CalibrationRequest calibration;
  calibration.options.device = options_.device;
  calibration.options.threads = options_.threads;
  if (request.calibrated) {
    calibration.options.progress = [&request](int64_t done, int64_t all) {
      return request.calibrated(static_cast<int32_t>(done), static_cast<int32_t>(all));
    };
  }
  if (!variant.calibration.text.empty()) {
    if (request.calibration_text == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(variant.name, " names a text set that was not handed over"));
    }
    calibration.text = JoinPieces(*request.calibration_text);
  }
  return PrepareCalibrated(model, variant, calibration, options_.artifacts);
}

void EngineEvaluator::Unload() {
  DropReference();
  text_model_.reset();
  engine_.reset();
  hosted_.reset();
  text_name_.clear();
  limits_.reset();
}

absl::Status EngineEvaluator::CheckHosted() const {
  if (engine_ != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError("no variant is hosted: load one first");
}

absl::StatusOr<measure::SurveyReport> EngineEvaluator::Survey(const measure::SurveyRequest& request) {
  auto model = Open(request.model);
  if (!model.ok()) return model.status();
  measure::SurveyReport report;
  EncoderOnly encoder(**model);
  measure::GenerationRequest batched = request.input;
  batched.input_tokens = request.shortest_batch_input;
  for (const measure::Prompt& prompt : request.prompts->prompts) {
    auto input = measure::PrepareInput(encoder, prompt, request.input);
    if (!input.ok()) return input.status();
    report.longest_input_tokens = std::max(report.longest_input_tokens, input->tokens);
    if (request.shortest_batch_input == 0) continue;
    if (auto shortest = measure::PrepareInput(encoder, prompt, batched); !shortest.ok()) return shortest.status();
  }
  if (request.text != nullptr) {
    if (absl::Status quality = CheckHasQuality(**model); !quality.ok()) return quality;
    const std::string text = JoinPieces(*request.text);
    if (absl::Status other = CheckCalibrationTexts(request.variants, "the text", text); !other.ok()) return other;
    auto ids = (*model)->EncodeText(text);
    if (!ids.ok()) return ids.status();
    report.text_tokens = static_cast<int64_t>(ids->size());
    report.text_windows = WindowCount(report.text_tokens, std::max(1, request.context_tokens));
  }
  if (request.articles != nullptr) {
    if (absl::Status quality = CheckHasQuality(**model); !quality.ok()) return quality;
    const std::string text = JoinPieces(*request.articles);
    if (absl::Status other = CheckCalibrationTexts(request.variants, "the articles", text); !other.ok()) return other;
    report.articles = static_cast<int32_t>(SplitArticles(text).size());
  }
  if (request.tasks == nullptr) return report;
  if (absl::Status quality = CheckHasQuality(**model); !quality.ok()) return quality;
  report.task_items = static_cast<int32_t>(request.tasks->prompts.size());
  const int32_t looked_at =
      request.max_task_items > 0 ? std::min(request.max_task_items, report.task_items) : report.task_items;
  for (int32_t i = 0; i < looked_at; ++i) {
    auto tokens = TaskTokens(encoder, request.tasks->prompts[static_cast<size_t>(i)], request.input.chat);
    if (!tokens.ok()) return tokens.status();
    report.longest_task_tokens = std::max(report.longest_task_tokens, *tokens);
  }
  return report;
}

absl::StatusOr<measure::Timing> EngineEvaluator::TimePrompt(const measure::Prompt& prompt,
                                                            const measure::GenerationRequest& request) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  DropReference();
  auto generated = measure::TimeGeneration(*text_model_, *clock_, prompt, request);
  if (!generated.ok()) return generated.status();
  return std::move(generated->timing);
}

absl::StatusOr<measure::TrafficTiming> EngineEvaluator::TimeBatch(const measure::BatchRequest& request) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  if (!no_batches_.ok()) return no_batches_;
  DropReference();
  if (!limits_.has_value()) {
    limits_.emplace();
    auto limits = options_.limits ? options_.limits(engine_->memory().weights_bytes) : measure::DeviceLimits{};
    if (limits.ok()) limits_ = *limits;
  }
  auto timing = evaluate::TimeBatch(*text_model_, *engine_, *clock_, request);
  if (!timing.ok()) return timing.status();
  const BatchWork work =
      WorkOf(hosted_->config(), *engine_, timing->batch, timing->input_tokens, timing->output_tokens);
  timing->prefill = work.prefill;
  timing->decode = work.decode;
  timing->limits = *limits_;
  return timing;
}

absl::StatusOr<measure::Generation> EngineEvaluator::Generate(const measure::Prompt& prompt,
                                                              const measure::GenerationRequest& request) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  DropReference();
  auto generated = measure::TimeGeneration(*text_model_, *clock_, prompt, request);
  if (!generated.ok()) return generated.status();
  return measure::Generation{generated->timing.input_tokens, static_cast<int32_t>(generated->output_ids.size()),
                             generated->stopped, generated->timing.output_digest};
}

absl::StatusOr<std::vector<measure::GreedyOutput>> EngineEvaluator::GenerateTogether(
    std::span<const measure::BatchPrompt> prompts, const measure::GenerationRequest& request) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  DropReference();
  return evaluate::GenerateTogether(*engine_, *text_model_, prompts, request);
}

int32_t EngineEvaluator::max_batch() const {
  return engine_ == nullptr ? 1 : static_cast<int32_t>(engine_->max_batch());
}

std::string EngineEvaluator::why_no_batches() const {
  if (!no_batches_.ok()) return std::string(no_batches_.message());
  return absl::StrCat("hosted for ", max_batch(), " sequences at a time");
}

absl::StatusOr<measure::WindowScore> EngineEvaluator::ScoreWindow(const measure::PromptSet& text,
                                                                  int32_t context_tokens, int32_t index) {
  if (absl::Status ready = PrepareText(text); !ready.ok()) return ready;
  DropReference();
  return evaluate::ScoreWindow(*engine_, text_ids_, context_tokens, index);
}

absl::Status EngineEvaluator::PrepareText(const measure::PromptSet& text) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  if (absl::Status quality = CheckHasQuality(*hosted_); !quality.ok()) return quality;
  if (!text.name.empty() && text.name == text_name_) return absl::OkStatus();
  auto ids = hosted_->EncodeText(JoinPieces(text));
  if (!ids.ok()) return ids.status();
  text_ids_ = *std::move(ids);
  text_name_ = text.name;
  return absl::OkStatus();
}

absl::Status EngineEvaluator::HostReference(int32_t context_tokens) {
  if (reference_ != nullptr && reference_->max_sequence_tokens() >= context_tokens) return absl::OkStatus();
  reference_.reset();
  auto variant = quantize::FindVariant("fp16");
  if (!variant.ok()) return variant.status();
  auto engine = engine::Engine::Create(hosted_->checkpoint(), *variant,
                                       {options_.device, options_.threads, options_.cpu_set, context_tokens});
  if (!engine.ok()) {
    return absl::Status(engine.status().code(),
                        absl::StrCat("fp16 beside the variant, to compare with: ", engine.status().message()));
  }
  reference_ = *std::move(engine);
  return absl::OkStatus();
}

void EngineEvaluator::DropReference() {
  if (reference_ == nullptr) return;
  reference_.reset();
  measure::ResetPeakResidentBytes();
}

absl::StatusOr<measure::TaskResult> EngineEvaluator::AnswerTask(const measure::Prompt& prompt,
                                                                const measure::GenerationRequest& request) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  if (absl::Status quality = CheckHasQuality(*hosted_); !quality.ok()) return quality;
  DropReference();
  if (prompt.task.has_value() && prompt.task->kind == measure::TaskKind::kChoice) {
    return AnswerByLikelihood(*text_model_, prompt,
                              [this](std::span<const int32_t> window) { return engine_->Score(window); });
  }
  return AnswerByGeneration(*text_model_, prompt, request);
}

absl::StatusOr<measure::WindowDivergence> EngineEvaluator::CompareWindow(const measure::PromptSet& text,
                                                                         int32_t context_tokens, int32_t index) {
  if (absl::Status ready = PrepareText(text); !ready.ok()) return ready;
  const auto window = FindWindow(*engine_, text_ids_, context_tokens, index);
  if (!window.ok()) return window.status();
  if (absl::Status reference = HostReference(context_tokens); !reference.ok()) return WithoutRoomAdvice(reference);
  auto compared = evaluate::CompareWindow(*reference_, *engine_, *window);
  if (!compared.ok()) return WithoutRoomAdvice(compared.status());
  return compared;
}

absl::StatusOr<measure::WindowSummary> EngineEvaluator::SummarizeWindow(const measure::PromptSet& text,
                                                                        int32_t context_tokens, int32_t index,
                                                                        int32_t summary_k) {
  if (absl::Status ready = PrepareText(text); !ready.ok()) return ready;
  DropReference();
  const auto window = FindWindow(*engine_, text_ids_, context_tokens, index);
  if (!window.ok()) return window.status();
  return evaluate::SummarizeWindow(*engine_, *window, summary_k);
}

absl::StatusOr<measure::WindowDivergence> EngineEvaluator::CompareWithSummary(const measure::PromptSet& text,
                                                                              int32_t context_tokens, int32_t index,
                                                                              std::string_view summary) {
  if (absl::Status ready = PrepareText(text); !ready.ok()) return ready;
  DropReference();
  const auto window = FindWindow(*engine_, text_ids_, context_tokens, index);
  if (!window.ok()) return window.status();
  return evaluate::CompareWithSummary(summary, *engine_, *window);
}

absl::StatusOr<measure::ArticleScore> EngineEvaluator::ScoreArticle(const measure::PromptSet& articles,
                                                                    int32_t context_tokens, int32_t index) {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  if (absl::Status quality = CheckHasQuality(*hosted_); !quality.ok()) return quality;
  DropReference();
  if (articles.name.empty() || articles.name != articles_name_) {
    articles_ = SplitArticles(JoinPieces(articles));
    articles_name_ = articles.name;
  }
  if (index < 0 || index >= static_cast<int32_t>(articles_.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("article ", index, ": expected one of the ", articles_.size(), " articles of ", articles.name));
  }
  // The last token of a window is scored, not read.
  return ScoreRawArticle(*hosted_, *engine_, articles_[static_cast<size_t>(index)], context_tokens - 1);
}

absl::StatusOr<measure::Identity> EngineEvaluator::Identify() {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  return identity_;
}

absl::StatusOr<measure::Memory> EngineEvaluator::MemoryUsed() {
  if (absl::Status hosted = CheckHosted(); !hosted.ok()) return hosted;
  const engine::EngineMemory memory = engine_->memory();
  const int64_t peak = options_.peak_memory_bytes ? options_.peak_memory_bytes() : measure::PeakResidentBytes();
  // Of one sequence, however many caches there are: the job's, which has one.
  const int64_t kv_cache_bytes = memory.kv_cache_bytes / engine_->max_batch();
  return measure::Memory{memory.weights_bytes,
                         memory.block_weights_bytes,
                         kv_cache_bytes,
                         memory.workspace_bytes,
                         peak,
                         kv_cache_bytes / engine_->max_sequence_tokens()};
}

}  // namespace uaqf::evaluate
