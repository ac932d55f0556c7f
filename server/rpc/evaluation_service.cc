#include "server/rpc/evaluation_service.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"
#include "server/core/ids.h"
#include "server/ranking/elimination.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"
#include "server/rpc/imported.h"
#include "server/rpc/job_streams.h"
#include "server/rpc/out_stream.h"
#include "server/rpc/profiles.h"
#include "server/rpc/ranking_convert.h"
#include "server/rpc/upload.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

// A stream that ends at once with an error.
class RefusedStream final : public OutStream {
 public:
  using OutStream::OutStream;
  static OutStream* Start(const ServiceContext& context, const char* method, const absl::Status& status) {
    auto stream = std::make_shared<RefusedStream>(context, method);
    stream->Begin(stream);
    stream->End(status);
    return stream.get();
  }
};

template <typename Request>
absl::StatusOr<std::int64_t> Before(const char* kind, const Request& request, std::int32_t largest) {
  if (absl::Status size = ValidatePageSize(request.page_size(), largest); !size.ok()) return size;
  auto token = core::DecodePageToken(kind, request.page_token());
  if (!token.ok()) return wire::WithReason(token.status(), "INVALID_PAGE_TOKEN");
  return token->a;
}

std::int32_t PageSize(std::int32_t asked, std::int32_t standard) { return asked == 0 ? standard : asked; }

std::string NextToken(const char* kind, std::int64_t next) { return next == 0 ? "" : core::Encode({kind, next, 0}); }

absl::StatusOr<v1::Job> JobFromStore(store::Store* store, const std::string& id) {
  auto view = store->GetJob(id);
  if (!view.ok()) return OrMissing(view.status(), NoSuchJob(id));
  return ToProto(*view);
}

std::int64_t WallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// --- prompt sets

grpc::ServerReadReactor<grpc::ByteBuffer>* EvaluationService::CreatePromptSet(Context* context, Bytes* response) {
  return UploadStream::Start(context_, context, &upload_bytes_, response);
}

grpc::ServerUnaryReactor* EvaluationService::GetPromptSet(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::GetPromptSetRequest, v1::PromptSet>(
      context, request, response, context_.metrics, "EvaluationService/GetPromptSet",
      [this](v1::GetPromptSetRequest message, const Call<v1::PromptSet>& call) {
        auto digest = wire::ParsePromptSetName(message.name());
        if (!digest.ok()) return call->Finish(digest.status());
        OnExecutor(context_.executor, call, [this, call, digest = *digest] {
          auto info = context_.store->GetPromptSet(digest);
          if (!info.ok()) return call->Finish(OrMissing(info.status(), NoSuchPromptSet(digest)));
          call->Finish(ToProto(*info));
        });
      });
}

grpc::ServerUnaryReactor* EvaluationService::ListPromptSets(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ListPromptSetsRequest, v1::ListPromptSetsResponse>(
      context, request, response, context_.metrics, "EvaluationService/ListPromptSets",
      [this](v1::ListPromptSetsRequest message, const Call<v1::ListPromptSetsResponse>& call) {
        auto before = Before("promptSets", message, 1000);
        if (!before.ok()) return call->Finish(before.status());
        OnExecutor(context_.executor, call, [this, call, before = *before, size = PageSize(message.page_size(), 100)] {
          auto page = context_.store->ListPromptSets(before, size);
          if (!page.ok()) return call->Finish(page.status());
          v1::ListPromptSetsResponse answer;
          for (const store::PromptSetInfo& info : page->sets) *answer.add_prompt_sets() = ToProto(info);
          answer.set_next_page_token(NextToken("promptSets", page->next));
          call->Finish(answer);
        });
      });
}

// --- jobs

grpc::ServerUnaryReactor* EvaluationService::CreateJob(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::CreateJobRequest, v1::Job>(
      context, request, response, context_.metrics, "EvaluationService/CreateJob",
      [this](v1::CreateJobRequest message, const Call<v1::Job>& call) {
        *message.mutable_spec() = WithDefaults(message.has_spec() ? message.spec() : v1::JobSpec());
        if (absl::Status valid = Validate(message); !valid.ok()) return call->Finish(valid);
        OnExecutor(context_.executor, call, [this, call, message = std::move(message)] { PrepareJob(message, call); });
      });
}

absl::StatusOr<std::int32_t> EvaluationService::CheckPromptSets(const core::JobSpec& spec) {
  auto prompts = context_.store->GetPromptSet(spec.prompt_set);
  if (!prompts.ok()) return OrMissing(prompts.status(), NoSuchPromptSet(spec.prompt_set));
  if (prompts->kind != store::PromptSetKind::kPrompts) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "WRONG_PROMPT_SET_KIND",
                       "got a TEXT set as prompt_set, expected a PROMPTS set");
  }
  if (!spec.quality.task_set.empty()) {
    auto tasks = context_.store->GetPromptSet(spec.quality.task_set);
    if (!tasks.ok()) return OrMissing(tasks.status(), NoSuchPromptSet(spec.quality.task_set));
    if (tasks->kind != store::PromptSetKind::kPrompts) {
      return wire::Error(absl::StatusCode::kInvalidArgument, "WRONG_PROMPT_SET_KIND",
                         "got a TEXT set as quality.task_set, expected a PROMPTS set whose items have tasks");
    }
  }
  if (!spec.quality.text_set.empty()) {
    if (absl::Status text = CheckText(spec.quality.text_set, "quality.text_set"); !text.ok()) return text;
  }
  if (!spec.quality.article_set.empty()) {
    if (absl::Status articles = CheckText(spec.quality.article_set, "quality.article_set"); !articles.ok()) {
      return articles;
    }
  }
  for (const std::string& variant : spec.variants) {
    const std::string digest = core::CalibrationText(variant);
    if (digest.empty()) continue;
    if (absl::Status name = wire::ParsePromptSetName(wire::PromptSetName(digest)).status(); !name.ok()) return name;
    if (absl::Status text = CheckText(digest, absl::StrCat("the calibration text of ", variant)); !text.ok()) {
      return text;
    }
  }
  return prompts->prompt_count;
}

absl::Status EvaluationService::CheckText(const std::string& digest, const std::string& role) {
  auto text = context_.store->GetPromptSet(digest);
  if (!text.ok()) return OrMissing(text.status(), NoSuchPromptSet(digest));
  if (text->kind == store::PromptSetKind::kText) return absl::OkStatus();
  return wire::Error(absl::StatusCode::kInvalidArgument, "WRONG_PROMPT_SET_KIND",
                     absl::StrCat("got a PROMPTS set as ", role, ", expected a TEXT set"));
}

// The profile by which a job decides must be there, and be one that can decide early.
static absl::Status CheckAllocation(store::Store* store, const core::JobSpec& spec) {
  if (spec.allocation.profile.empty()) return absl::OkStatus();
  auto profile = FindProfile(store, wire::ProfileName(spec.allocation.profile));
  if (!profile.ok()) return profile.status();
  return wire::WithReason(ranking::CanDecide(FromProto(*profile), spec.timing.repeats, !spec.quality.text_set.empty()),
                          "PROFILE_CANNOT_DECIDE_EARLY");
}

void EvaluationService::PrepareJob(const v1::CreateJobRequest& request, const Call<v1::Job>& call) {
  core::CreateJob job;
  job.spec = FromProto(request.spec());
  job.request = {/*principal=*/"", request.request_id(), wire::Sha256Hex(ToProto(job.spec).SerializeAsString())};
  auto seen = context_.store->FindRequest(job.request);
  if (!seen.ok()) return call->Finish(seen.status());
  if (seen->applied == store::Applied::kExists) return call->Finish(JobFromStore(context_.store, seen->existing));
  if (seen->applied == store::Applied::kRequestReused) {
    return call->Finish(wire::Error(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
                                    absl::StrCat("got request_id ", request.request_id(),
                                                 " again with another spec; choose a new one for a new job")));
  }
  if (absl::Status profile = CheckAllocation(context_.store, job.spec); !profile.ok()) {
    return call->Finish(profile);
  }
  auto prompt_count = CheckPromptSets(job.spec);
  if (!prompt_count.ok()) return call->Finish(prompt_count.status());
  job.prompt_count = *prompt_count;
  if (absl::Status valid = core::ValidateSpec(job.spec, job.prompt_count, context_.limits.job); !valid.ok()) {
    return call->Finish(valid);
  }
  job.wall_ns = WallNs();
  context_.coordinator->CreateJob(std::move(job), [call](absl::StatusOr<core::JobView> view) {
    call->Finish(view.ok() ? absl::StatusOr<v1::Job>(ToProto(*view)) : view.status());
  });
}

grpc::ServerUnaryReactor* EvaluationService::ImportJob(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ImportJobRequest, v1::Job>(
      context, request, response, context_.metrics, "EvaluationService/ImportJob",
      [this](v1::ImportJobRequest message, const Call<v1::Job>& call) {
        if (absl::Status valid = Validate(message); !valid.ok()) return call->Finish(valid);
        OnExecutor(context_.executor, call, [this, call, message = std::move(message)] {
          const auto id = Import(context_.store, message);
          call->Finish(id.ok() ? JobFromStore(context_.store, *id) : id.status());
        });
      });
}

grpc::ServerUnaryReactor* EvaluationService::GetJob(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::GetJobRequest, v1::Job>(
      context, request, response, context_.metrics, "EvaluationService/GetJob",
      [this](v1::GetJobRequest message, const Call<v1::Job>& call) {
        auto id = wire::ParseJobName(message.name());
        if (!id.ok()) return call->Finish(id.status());
        const bool posted =
            context_.coordinator->Look([this, call, id = *id](const core::Scheduler& scheduler, core::Instant now) {
              std::optional<core::JobView> view = scheduler.Job(id, now);
              if (view.has_value() && !core::Ended(view->state)) {
                if (!view->spec.allocation.InRounds()) return call->Finish(ToProto(*view));
                return OnExecutor(context_.executor, call, [this, call, view = *std::move(view)]() mutable {
                  if (auto stored = context_.store->GetJob(view.id); stored.ok())
                    view.device_time = stored->device_time;
                  call->Finish(ToProto(view));
                });
              }
              OnExecutor(context_.executor, call, [this, call, id] { call->Finish(JobFromStore(context_.store, id)); });
            });
        if (!posted)
          OnExecutor(context_.executor, call,
                     [this, call, id = *id] { call->Finish(JobFromStore(context_.store, id)); });
      });
}

grpc::ServerUnaryReactor* EvaluationService::ListJobs(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ListJobsRequest, v1::ListJobsResponse>(
      context, request, response, context_.metrics, "EvaluationService/ListJobs",
      [this](v1::ListJobsRequest message, const Call<v1::ListJobsResponse>& call) {
        auto before = Before("jobs", message, 1000);
        if (!before.ok()) return call->Finish(before.status());
        OnExecutor(context_.executor, call, [this, call, before = *before, size = PageSize(message.page_size(), 100)] {
          auto page = context_.store->ListJobs(before, size);
          if (!page.ok()) return call->Finish(page.status());
          v1::ListJobsResponse answer;
          for (const core::JobView& view : page->jobs) *answer.add_jobs() = ToProto(view);
          answer.set_next_page_token(NextToken("jobs", page->next));
          call->Finish(answer);
        });
      });
}

grpc::ServerUnaryReactor* EvaluationService::CancelJob(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::CancelJobRequest, v1::Job>(
      context, request, response, context_.metrics, "EvaluationService/CancelJob",
      [this](v1::CancelJobRequest message, const Call<v1::Job>& call) {
        auto id = wire::ParseJobName(message.name());
        if (!id.ok()) return call->Finish(id.status());
        context_.coordinator->CancelJob(*id, [this, call, id = *id](absl::StatusOr<core::JobView> view) {
          if (view.ok()) return call->Finish(ToProto(*view));
          if (!absl::IsNotFound(view.status())) return call->Finish(view.status());
          // Not active: it has ended, which cancelling does not change, or never was.
          OnExecutor(context_.executor, call, [this, call, id] { call->Finish(JobFromStore(context_.store, id)); });
        });
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* EvaluationService::WatchJob(Context*, const Bytes* request) {
  v1::WatchJobRequest message;
  absl::Status status = Parse(*request, &message);
  if (status.ok()) status = wire::ParseJobName(message.name()).status();
  if (!status.ok()) return RefusedStream::Start(context_, "EvaluationService/WatchJob", status);
  return WatchStream::Start(context_, message.name());
}

// --- records

grpc::ServerUnaryReactor* EvaluationService::ListRecords(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ListRecordsRequest, v1::ListRecordsResponse>(
      context, request, response, context_.metrics, "EvaluationService/ListRecords",
      [this](v1::ListRecordsRequest message, const Call<v1::ListRecordsResponse>& call) {
        auto id = wire::ParseJobName(message.job());
        if (!id.ok()) return call->Finish(id.status());
        if (absl::Status size = ValidatePageSize(message.page_size(), 10'000); !size.ok()) return call->Finish(size);
        auto cursor = DecodeCursor(message.page_token());
        if (!cursor.ok()) return call->Finish(cursor.status());
        if (!v1::ChunkKind_IsValid(message.kind())) {
          return call->Finish(
              wire::Error(absl::StatusCode::kInvalidArgument, "UNKNOWN_ENUM",
                          absl::StrCat("got kind = ", message.kind(), ", expected one of ChunkKind, or none")));
        }
        OnExecutor(context_.executor, call, [this, call, message, id = *id, cursor = *cursor] {
          auto view = context_.store->GetJob(id);
          if (!view.ok()) return call->Finish(OrMissing(view.status(), NoSuchJob(id)));
          store::RecordFilter filter;
          if (message.kind() != v1::CHUNK_KIND_UNSPECIFIED) filter.kind = static_cast<core::ChunkKind>(message.kind());
          if (!message.variant().empty()) {
            const auto& variants = view->spec.variants;
            const auto found = std::find(variants.begin(), variants.end(), message.variant());
            if (found == variants.end()) {
              return call->Finish(wire::Error(
                  absl::StatusCode::kInvalidArgument, "UNKNOWN_VARIANT",
                  absl::StrCat("got variant ", message.variant(), ", which ", message.job(), " does not have")));
            }
            filter.variant = static_cast<std::int32_t>(found - variants.begin());
          }
          auto page = ReadRecordsPage(context_.store, &labels_, id, view->spec, cursor, filter,
                                      PageSize(message.page_size(), 1000));
          if (!page.ok()) return call->Finish(page.status());
          v1::ListRecordsResponse answer;
          for (v1::StoredRecord& record : page->records) *answer.add_records() = std::move(record);
          if (!page->at_end) answer.set_next_page_token(EncodeCursor(page->next));
          call->Finish(answer);
        });
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* EvaluationService::StreamRecords(Context*, const Bytes* request) {
  v1::StreamRecordsRequest message;
  absl::Status status = Parse(*request, &message);
  if (status.ok()) status = wire::ParseJobName(message.job()).status();
  auto cursor = DecodeCursor(message.cursor());
  if (status.ok()) status = cursor.status();
  if (!status.ok()) return RefusedStream::Start(context_, "EvaluationService/StreamRecords", status);
  return RecordsOutStream::Start(context_, &labels_, *wire::ParseJobName(message.job()), *cursor, message.follow());
}

// --- workers

grpc::ServerUnaryReactor* EvaluationService::ListWorkers(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ListWorkersRequest, v1::ListWorkersResponse>(
      context, request, response, context_.metrics, "EvaluationService/ListWorkers",
      [this](const v1::ListWorkersRequest&, const Call<v1::ListWorkersResponse>& call) {
        // A view that is not taken is destroyed, and with it the call, which then answers UNAVAILABLE.
        context_.coordinator->Look([call](const core::Scheduler& scheduler, core::Instant) {
          v1::ListWorkersResponse answer;
          for (const core::WorkerView& worker : scheduler.Workers()) *answer.add_workers() = ToProto(worker);
          call->Finish(answer);
        });
      });
}

grpc::ServerUnaryReactor* EvaluationService::ListVariants(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ListVariantsRequest, v1::ListVariantsResponse>(
      context, request, response, context_.metrics, "EvaluationService/ListVariants",
      [this](const v1::ListVariantsRequest& message, const Call<v1::ListVariantsResponse>& call) {
        context_.coordinator->Look([call, model = message.model()](const core::Scheduler& scheduler, core::Instant) {
          std::string known;
          for (const core::WorkerView& worker : scheduler.Workers()) {
            for (const core::ModelInfo& info : worker.models) {
              if (info.model == model) {
                v1::ListVariantsResponse answer;
                for (const core::VariantInfo& variant : info.variants) *answer.add_variants() = ToProto(variant);
                return call->Finish(answer);
              }
              if (known.find(info.model) == std::string::npos)
                absl::StrAppend(&known, known.empty() ? "" : ", ", info.model);
            }
          }
          call->Finish(wire::Error(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND",
                                   absl::StrCat("got model ", model, ", expected one that a connected worker reads: ",
                                                known.empty() ? "none is connected" : known)));
        });
      });
}

}  // namespace uaqf::rpc
