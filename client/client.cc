#include "client/client.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/connection.h"
#include "proto/wire/channel.h"
#include "proto/wire/status.h"

namespace uaqf::client {
namespace {

constexpr absl::Duration kCallDeadline = absl::Seconds(10);
// An upload is bounded by the server's limit of bytes, not by its items.
constexpr absl::Duration kUploadDeadline = absl::Minutes(5);

void SetDeadline(grpc::ClientContext& context, absl::Duration deadline) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
}

// Joins the pages of a list. `list` makes the call, `items` names the repeated field.
template <typename Response, typename Request, typename List, typename Items>
absl::StatusOr<Response> AllPages(Request request, List list, Items items) {
  request.set_page_size(1000);
  Response all;
  do {
    absl::StatusOr<Response> page = list(request);
    if (!page.ok()) return page.status();
    items(all)->MergeFrom(*items(*page));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return all;
}

// Attaches a stream to a cancellation for as long as it lives.
class Attached {
 public:
  Attached(Cancellation& cancellation, grpc::ClientContext& context) : cancellation_(cancellation) {
    cancellation_.Attach(&context);
  }
  ~Attached() { cancellation_.Detach(); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

 private:
  Cancellation& cancellation_;
};

}  // namespace

void Cancellation::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

bool Cancellation::WaitFor(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), duration);
}

void Cancellation::Attach(grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  context_ = context;
  if (cancelled_) context_->TryCancel();
}

void Cancellation::Detach() {
  absl::MutexLock lock(&mutex_);
  context_ = nullptr;
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const std::string& address, const wire::Security& security,
                                                        absl::Duration patience) {
  if (absl::Status valid = CheckAddress(address); !valid.ok()) return valid;
  auto channel = wire::Dial(address, security);
  if (!channel.ok()) return channel.status();
  if (absl::Status there = AwaitCoordinator(*channel, address, security, patience); !there.ok()) {
    return there;
  }
  return std::make_unique<Client>(*std::move(channel), address);
}

Client::Client(std::shared_ptr<grpc::Channel> channel, std::string address)
    : channel_(std::move(channel)),
      address_(std::move(address)),
      evaluation_(v1::EvaluationService::NewStub(channel_)),
      ranking_(v1::RankingService::NewStub(channel_)) {}

absl::Status Client::Told(const grpc::Status& status, absl::Duration deadline) const {
  const absl::Status told = wire::FromGrpc(status);
  // With a reason it is the coordinator that speaks.
  if (told.ok() || !wire::Reason(told).empty()) return told;
  switch (told.code()) {
    // A call that meets a coordinator in the middle of its stop is cancelled by the transport.
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnavailable:
      return absl::UnavailableError(absl::StrCat("lost the coordinator at ", address_, " (",
                                                 BriefCause(status.error_message()),
                                                 ")\ncheck that it runs, then call again: what it accepted is kept"));
    case absl::StatusCode::kDeadlineExceeded:
      return absl::DeadlineExceededError(absl::StrCat("no answer from the coordinator at ", address_, " within ",
                                                      absl::FormatDuration(deadline),
                                                      "\nit may be busy or stopped: call again, or see its log"));
    case absl::StatusCode::kUnimplemented:
      return absl::UnimplementedError(
          absl::StrCat("what answers at ", address_, " does not know this call",
                       "\nis it a uaqf-server of this release, and its client port (7600 by default)?"));
    default:
      return told;
  }
}

template <typename Response, typename Request, typename Stub>
absl::StatusOr<Response> Client::Call(Stub& stub,
                                      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                      const Request& request) const {
  grpc::ClientContext context;
  SetDeadline(context, kCallDeadline);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return Told(status, kCallDeadline);
  return response;
}

absl::StatusOr<v1::PromptSet> Client::CreatePromptSet(const std::string& display_name, v1::PromptSetKind kind,
                                                      const std::vector<v1::Prompt>& prompts,
                                                      const std::vector<v1::PromptSource>& sources) {
  grpc::ClientContext context;
  SetDeadline(context, kUploadDeadline);
  v1::PromptSet set;
  auto writer = evaluation_->CreatePromptSet(&context, &set);
  v1::CreatePromptSetRequest request;
  request.mutable_header()->set_display_name(display_name);
  request.mutable_header()->set_kind(kind);
  for (const v1::PromptSource& source : sources) *request.mutable_header()->add_sources() = source;
  // A write that fails means that the server has already answered: Finish says what.
  bool open = writer->Write(request);
  v1::PromptBatch* batch = request.mutable_items();
  std::size_t bytes = 0;
  for (std::size_t i = 0; open && i < prompts.size(); ++i) {
    const std::size_t more = prompts[i].ByteSizeLong() + 8;
    if (bytes > 0 && bytes + more > static_cast<std::size_t>(wire::kBatchBytes)) {
      open = writer->Write(request);
      batch->clear_prompts();
      bytes = 0;
    }
    *batch->add_prompts() = prompts[i];
    bytes += more;
  }
  if (open && bytes > 0) writer->Write(request);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return Told(status, kUploadDeadline);
  return set;
}

absl::StatusOr<v1::PromptSet> Client::GetPromptSet(const std::string& name) {
  v1::GetPromptSetRequest request;
  request.set_name(name);
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::GetPromptSet, request);
}

absl::StatusOr<v1::ListPromptSetsResponse> Client::ListPromptSets() {
  return AllPages<v1::ListPromptSetsResponse>(
      v1::ListPromptSetsRequest(),
      [this](const auto& request) {
        return Call(*evaluation_, &v1::EvaluationService::StubInterface::ListPromptSets, request);
      },
      [](auto& response) { return response.mutable_prompt_sets(); });
}

absl::StatusOr<v1::Job> Client::CreateJob(const std::string& request_id, const v1::JobSpec& spec) {
  v1::CreateJobRequest request;
  request.set_request_id(request_id);
  *request.mutable_spec() = spec;
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::CreateJob, request);
}

absl::StatusOr<v1::Job> Client::ImportJob(const std::string& request_id, const v1::ImportedTable& table) {
  v1::ImportJobRequest request;
  request.set_request_id(request_id);
  *request.mutable_table() = table;
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::ImportJob, request);
}

absl::StatusOr<v1::Job> Client::GetJob(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::GetJob, request);
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs() {
  return AllPages<v1::ListJobsResponse>(
      v1::ListJobsRequest(),
      [this](const auto& request) {
        return Call(*evaluation_, &v1::EvaluationService::StubInterface::ListJobs, request);
      },
      [](auto& response) { return response.mutable_jobs(); });
}

absl::StatusOr<v1::Job> Client::CancelJob(const std::string& name, const std::string& request_id) {
  v1::CancelJobRequest request;
  request.set_name(name);
  request.set_request_id(request_id);
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::CancelJob, request);
}

absl::Status Client::WatchJob(const std::string& name, const std::function<void(const v1::Job&)>& on_state,
                              Cancellation& cancellation) {
  grpc::ClientContext context;
  const Attached attached(cancellation, context);
  v1::WatchJobRequest request;
  request.set_name(name);
  auto reader = evaluation_->WatchJob(&context, request);
  v1::Job job;
  while (reader->Read(&job)) on_state(job);
  return Told(reader->Finish(), absl::InfiniteDuration());
}

absl::Status Client::StreamRecords(const v1::StreamRecordsRequest& request,
                                   const std::function<void(const v1::StreamRecordsResponse&)>& on_batch,
                                   Cancellation& cancellation) {
  grpc::ClientContext context;
  const Attached attached(cancellation, context);
  auto reader = evaluation_->StreamRecords(&context, request);
  v1::StreamRecordsResponse batch;
  while (reader->Read(&batch)) on_batch(batch);
  return Told(reader->Finish(), absl::InfiniteDuration());
}

absl::StatusOr<v1::ListWorkersResponse> Client::ListWorkers() {
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::ListWorkers, v1::ListWorkersRequest());
}

absl::StatusOr<v1::ListVariantsResponse> Client::ListVariants(const std::string& model) {
  v1::ListVariantsRequest request;
  request.set_model(model);
  return Call(*evaluation_, &v1::EvaluationService::StubInterface::ListVariants, request);
}

absl::StatusOr<v1::MeasureVariantsResponse> Client::MeasureVariants(const std::string& job) {
  v1::MeasureVariantsRequest request;
  request.set_job(job);
  return Call(*ranking_, &v1::RankingService::StubInterface::MeasureVariants, request);
}

absl::StatusOr<v1::RankVariantsResponse> Client::RankVariants(const v1::RankVariantsRequest& request) {
  return Call(*ranking_, &v1::RankingService::StubInterface::RankVariants, request);
}

absl::StatusOr<v1::CompareJobsResponse> Client::CompareJobs(const std::string& job, const std::string& other,
                                                            bool behaviour) {
  v1::CompareJobsRequest request;
  request.set_behaviour(behaviour);
  request.set_job(job);
  request.set_other_job(other);
  return Call(*ranking_, &v1::RankingService::StubInterface::CompareJobs, request);
}

absl::StatusOr<v1::CompareModelsResponse> Client::CompareModels(const std::vector<std::string>& jobs) {
  v1::CompareModelsRequest request;
  request.mutable_jobs()->Assign(jobs.begin(), jobs.end());
  return Call(*ranking_, &v1::RankingService::StubInterface::CompareModels, request);
}

absl::StatusOr<v1::Profile> Client::CreateProfile(const v1::Profile& profile, const std::string& request_id) {
  v1::CreateProfileRequest request;
  *request.mutable_profile() = profile;
  request.set_request_id(request_id);
  return Call(*ranking_, &v1::RankingService::StubInterface::CreateProfile, request);
}

absl::StatusOr<v1::Profile> Client::GetProfile(const std::string& name) {
  v1::GetProfileRequest request;
  request.set_name(name);
  return Call(*ranking_, &v1::RankingService::StubInterface::GetProfile, request);
}

absl::StatusOr<v1::ListProfilesResponse> Client::ListProfiles() {
  return AllPages<v1::ListProfilesResponse>(
      v1::ListProfilesRequest(),
      [this](const auto& request) {
        return Call(*ranking_, &v1::RankingService::StubInterface::ListProfiles, request);
      },
      [](auto& response) { return response.mutable_profiles(); });
}

absl::Status Client::DeleteProfile(const std::string& name, const std::string& request_id) {
  v1::DeleteProfileRequest request;
  request.set_name(name);
  request.set_request_id(request_id);
  return Call(*ranking_, &v1::RankingService::StubInterface::DeleteProfile, request).status();
}

std::string RandomRequestId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&id, absl::StrFormat("%08x", random()));
  return id;
}

bool HasEnded(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_CANCELLED || state == v1::JOB_STATE_FAILED;
}

}  // namespace uaqf::client
