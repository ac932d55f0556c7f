#include "worker/link/runner.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/wire/names.h"
#include "spdlog/spdlog.h"
#include "worker/link/convert.h"
#include "worker/link/summary_exchange.h"

namespace uaqf::link {
namespace {

constexpr absl::Duration kPausePoll = absl::Milliseconds(200);
constexpr absl::Duration kFetchDeadline = absl::Seconds(30);

// Passes results to the record stream, and keeps the link going between items.
class Sink final : public measure::ChunkSink {
 public:
  Sink(const RunnerParts& parts, Attempt attempt) : parts_(parts), attempt_(std::move(attempt)) {
    parts_.session->SetMeasuring(true);
  }
  ~Sink() override { parts_.session->SetMeasuring(false); }

  absl::Status Ready() override {
    const absl::Time now = absl::Now();
    parts_.records->FlushIfDue(now);
    parts_.session->ReportIfDue(now);
    while (true) {
      const Board::Permit permit = parts_.board->MayContinue(attempt_, parts_.device.clock->NowNs());
      if (permit == Board::Permit::kStop) return absl::CancelledError("not wanted any more");
      if (permit == Board::Permit::kGo && parts_.records->WaitForRoom(absl::ZeroDuration())) return absl::OkStatus();
      Wait(permit);
    }
  }

  void Add(measure::ItemResult result) override {
    parts_.records->Add(attempt_, ToProto(result));
    parts_.board->RecordMade(attempt_);
  }

 private:
  void Wait(Board::Permit permit) {
    parts_.session->SetMeasuring(false);
    if (permit == Board::Permit::kWait) {
      parts_.board->WaitForChange(kPausePoll);
    } else {
      static_cast<void>(parts_.records->WaitForRoom(kPausePoll));
    }
    parts_.session->SetMeasuring(true);
  }

  const RunnerParts& parts_;
  const Attempt attempt_;
};

bool Retryable(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

void Runner::Run() {
  while (!parts_.board->stopped()) {
    const Task task = parts_.board->WaitForTask();
    std::visit([this](const auto& what) { Do(what); }, task);
  }
  parts_.device.evaluator->Unload();
}

absl::StatusOr<std::shared_ptr<const measure::PromptSet>> Runner::Fetch(const std::string& name,
                                                                        const Attempt* attempt) {
  while (true) {
    auto set = parts_.prompts->Get(name, kFetchDeadline);
    if (set.ok() || !Retryable(set.status())) return set;
    spdlog::warn("{}; trying again", std::string(set.status().message()));
    parts_.board->WaitForChange(kPausePoll);
    // A survey has no lease to lose; it is asked for again.
    if (attempt == nullptr) return set;
    if (parts_.board->MayContinue(*attempt, parts_.device.clock->NowNs()) == Board::Permit::kStop) {
      return absl::CancelledError("not wanted any more");
    }
  }
}

void Runner::Do(const v1::Survey& survey) {
  auto report = Look(survey);
  if (!report.ok() && Retryable(report.status())) return;
  v1::SurveyResult result;
  result.set_job(survey.job());
  if (report.ok()) {
    result.set_longest_input_tokens(report->longest_input_tokens);
    result.set_text_tokens(report->text_tokens);
    result.set_text_windows(report->text_windows);
    result.set_task_items(report->task_items);
    result.set_longest_task_tokens(report->longest_task_tokens);
    result.set_articles(report->articles);
  } else {
    result.set_error(std::string(report.status().message()));
  }
  spdlog::info("surveyed {}: {}", survey.job(), report.ok() ? "ok" : result.error());
  parts_.board->SurveyDone(std::move(result));
}

absl::StatusOr<measure::SurveyReport> Runner::Look(const v1::Survey& survey) {
  measure::SurveyRequest request = ToSurveyRequest(survey);
  auto prompts = Fetch(survey.prompt_set(), nullptr);
  if (!prompts.ok()) return prompts.status();
  request.prompts = prompts->get();
  std::shared_ptr<const measure::PromptSet> text;
  std::shared_ptr<const measure::PromptSet> tasks;
  std::shared_ptr<const measure::PromptSet> articles;
  for (auto [name, set] : {std::pair(&survey.text_set(), &text), std::pair(&survey.task_set(), &tasks),
                           std::pair(&survey.article_set(), &articles)}) {
    if (name->empty()) continue;
    auto fetched = Fetch(*name, nullptr);
    if (!fetched.ok()) return fetched.status();
    *set = *std::move(fetched);
  }
  request.text = text.get();
  request.tasks = tasks.get();
  request.articles = articles.get();
  // Held until the survey is made.
  std::vector<std::shared_ptr<const measure::PromptSet>> calibration_texts;
  for (const std::string& variant : survey.variants()) {
    const std::string name = measure::CalibrationTextOf(variant);
    request.variants.push_back({variant});
    if (name.empty()) continue;
    auto fetched = Fetch(name, nullptr);
    if (!fetched.ok()) return fetched.status();
    request.variants.back().calibration_text = fetched->get();
    calibration_texts.push_back(*std::move(fetched));
  }
  return parts_.device.evaluator->Survey(request);
}

void Runner::Do(const v1::VariantAssignment& assignment) {
  v1::HostedVariant hosted;
  hosted.set_model(assignment.model());
  hosted.set_variant(assignment.variant());
  hosted.set_max_sequence_tokens(assignment.max_sequence_tokens());
  hosted.set_max_batch(assignment.max_batch());
  hosted.set_state(v1::VARIANT_STATE_LOADING);
  parts_.board->SetHosted(hosted);
  spdlog::info("loading {} {}", assignment.model(), assignment.variant());
  const absl::Status loaded = Load(assignment, hosted);
  if (absl::IsCancelled(loaded)) {
    spdlog::info("{} {} is not wanted any more", assignment.model(), assignment.variant());
    parts_.board->SetHosted({});
    return;
  }
  hosted.set_state(loaded.ok() ? v1::VARIANT_STATE_READY : v1::VARIANT_STATE_FAILED);
  hosted.set_error(std::string(loaded.message()));
  spdlog::info("{} {}: {}", assignment.model(), assignment.variant(), loaded.ok() ? "ready" : hosted.error());
  parts_.board->SetHosted(hosted);
}

absl::Status Runner::Load(const v1::VariantAssignment& assignment, const v1::HostedVariant& loading) {
  measure::HostRequest request = {assignment.model(), wire::HostedVariantName(assignment.variant()),
                                  assignment.max_sequence_tokens()};
  request.max_batch = std::max(1, assignment.max_batch());
  request.calibrated = [&](int32_t done, int32_t all) {
    v1::HostedVariant hosted = loading;
    hosted.mutable_calibration()->set_layers_done(done);
    hosted.mutable_calibration()->set_layers_total(all);
    spdlog::info("calibrating {} {}: {} of {} layers", assignment.model(), assignment.variant(), done, all);
    parts_.board->SetHosted(std::move(hosted));
    return parts_.board->Wants(assignment);
  };
  const std::string text = measure::CalibrationTextOf(assignment.variant());
  if (text.empty()) return parts_.device.evaluator->Load(request);
  const auto set = Fetch(text, nullptr);
  if (!set.ok()) return set.status();
  request.calibration_text = set->get();
  return parts_.device.evaluator->Load(request);
}

void Runner::Do(const DropHosted&) {
  const v1::HostedVariant hosted = parts_.board->hosted();
  parts_.device.evaluator->Unload();
  spdlog::info("dropped {} {}", hosted.model(), hosted.variant());
  parts_.board->SetHosted({});
}

void Runner::Do(const v1::Lease& lease) {
  const Attempt attempt = FromProto(lease.attempt());
  parts_.board->Begin(attempt);
  auto end = Measure(lease);
  if (end.ok()) {
    // The other way round, the verdict could come before the board expects one.
    if (parts_.board->Ended(attempt)) {
      parts_.records->End(attempt, *std::move(end));
    } else {
      parts_.records->Drop(attempt);
    }
    return;
  }
  parts_.records->Drop(attempt);
  if (end.status().code() == absl::StatusCode::kCancelled) {
    spdlog::debug("{} dropped: {}", ToString(attempt), std::string(end.status().message()));
    parts_.board->Dropped(attempt);
    return;
  }
  spdlog::error("{} failed: {}", ToString(attempt), std::string(end.status().message()));
  parts_.board->Failed(attempt, std::string(end.status().message()));
}

absl::StatusOr<v1::AttemptEnd> Runner::Measure(const v1::Lease& lease) {
  const v1::HostedVariant hosted = parts_.board->hosted();
  if (lease.variant() != hosted.variant()) {
    return absl::InvalidArgumentError(
        absl::StrCat("lease of variant ", lease.variant(), ": expected ", hosted.variant(), ", which is hosted"));
  }
  auto chunk = ToChunk(lease);
  if (!chunk.ok()) return chunk.status();
  const Attempt attempt = FromProto(lease.attempt());
  auto items = Fetch(lease.prompt_set(), &attempt);
  if (!items.ok()) return items.status();
  chunk->items = items->get();
  chunk->generation.cancelled = &parts_.board->cancelled();
  RemoteSummaries summaries(parts_.stub, parts_.worker, lease, [this, &attempt] {
    parts_.board->WaitForChange(kPausePoll);
    return parts_.board->MayContinue(attempt, parts_.device.clock->NowNs()) != Board::Permit::kStop;
  });
  chunk->summaries = &summaries;
  Sink sink(parts_, attempt);
  auto use = measure::RunChunk(*chunk, parts_.device, sink);
  if (!use.ok()) return use.status();
  return End(*use);
}

absl::StatusOr<v1::AttemptEnd> Runner::End(const measure::DeviceUse& use) {
  auto identity = parts_.device.evaluator->Identify();
  if (!identity.ok()) return identity.status();
  auto memory = parts_.device.evaluator->MemoryUsed();
  if (!memory.ok()) return memory.status();
  v1::AttemptEnd end;
  end.set_variant_configuration(identity->variant_config);
  v1::ChunkEvidence& evidence = *end.mutable_evidence();
  *evidence.mutable_device() = ToProto(parts_.device.monitor->device());
  evidence.set_build(parts_.build);
  evidence.set_model_digest(identity->model_digest);
  evidence.set_variant_digest(identity->variant_digest);
  evidence.set_tokenizer_digest(identity->tokenizer_digest);
  *evidence.mutable_memory() = ToProto(*memory);
  evidence.set_foreign_load(use.foreign_load);
  evidence.set_involuntary_switches(use.involuntary_switches);
  evidence.set_cpu_mhz(use.cpu_mhz);
  evidence.set_wall_ns(use.wall_ns);
  if (use.gpu.has_value()) *evidence.mutable_gpu() = ToProto(*use.gpu, use.wall_ns);
  for (const std::string& taint : use.taints) evidence.add_taints(taint);
  return end;
}

}  // namespace uaqf::link
