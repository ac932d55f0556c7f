#include "tests/client/fake_coordinator.h"

#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "proto/wire/channel.h"
#include "proto/wire/digest.h"
#include "proto/wire/status.h"

namespace uaqf::client {
namespace {

grpc::Status NotFound(const std::string& what) {
  return wire::ToGrpc(wire::Error(absl::StatusCode::kNotFound, "NOT_FOUND", absl::StrCat("no ", what)));
}

// Copies the page that `token` (an index as text) begins; sets the next token.
template <typename Request, typename Response, typename Items, typename Out>
void Page(const FakeState& state, const Request& request, const Items& items, Response* response, Out* out) {
  int first = 0;
  if (!absl::SimpleAtoi(request.page_token(), &first)) first = 0;
  const int end = std::min<int>(first + std::min(request.page_size(), state.page_size), static_cast<int>(items.size()));
  for (int i = first; i < end; ++i) *out->Add() = items[static_cast<std::size_t>(i)];
  if (end < static_cast<int>(items.size())) response->set_next_page_token(absl::StrCat(end));
}

std::chrono::seconds Patience() { return std::chrono::seconds(10); }

}  // namespace

class FakeCoordinator::Evaluation : public v1::EvaluationService::Service {
 public:
  explicit Evaluation(FakeState* state) : state_(*state) {}

  grpc::Status CreatePromptSet(grpc::ServerContext*, grpc::ServerReader<v1::CreatePromptSetRequest>* reader,
                               v1::PromptSet* response) override {
    std::vector<v1::Prompt> prompts;
    std::vector<std::size_t> sizes;
    v1::CreatePromptSetRequest request;
    while (reader->Read(&request)) {
      sizes.push_back(request.ByteSizeLong());
      if (request.has_header()) {
        response->set_display_name(request.header().display_name());
        response->set_kind(request.header().kind());
        *response->mutable_sources() = request.header().sources();
      }
      for (const v1::Prompt& prompt : request.items().prompts()) prompts.push_back(prompt);
    }
    const std::lock_guard<std::mutex> lock(state_.mutex);
    if (const grpc::Status failure = Failure("CreatePromptSet"); !failure.ok()) return failure;
    state_.upload_messages = sizes;
    std::map<std::string, int> categories;
    wire::PromptSetDigest digest(response->kind());
    for (const v1::Prompt& prompt : prompts) {
      digest.Add(prompt);
      response->set_size_bytes(response->size_bytes() + static_cast<std::int64_t>(prompt.ByteSizeLong()));
      if (!prompt.category().empty()) ++categories[prompt.category()];
    }
    response->set_name("promptSets/" + digest.Finish());
    response->set_prompt_count(static_cast<int>(prompts.size()));
    for (const auto& [category, count] : categories) {
      v1::CategoryCount* entry = response->add_categories();
      entry->set_category(category);
      entry->set_prompt_count(count);
    }
    state_.items[response->name()] = prompts;
    state_.sets.insert(state_.sets.begin(), *response);
    return grpc::Status::OK;
  }

  grpc::Status GetPromptSet(grpc::ServerContext*, const v1::GetPromptSetRequest* request,
                            v1::PromptSet* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    for (const v1::PromptSet& set : state_.sets) {
      if (set.name() != request->name()) continue;
      *response = set;
      return grpc::Status::OK;
    }
    return NotFound(request->name());
  }

  grpc::Status ListPromptSets(grpc::ServerContext*, const v1::ListPromptSetsRequest* request,
                              v1::ListPromptSetsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    Page(state_, *request, state_.sets, response, response->mutable_prompt_sets());
    return grpc::Status::OK;
  }

  grpc::Status ImportJob(grpc::ServerContext*, const v1::ImportJobRequest* request, v1::Job* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    if (const grpc::Status failure = Failure("ImportJob"); !failure.ok()) return failure;
    response->set_name("jobs/imported");
    response->set_state(v1::JOB_STATE_SUCCEEDED);
    for (const v1::ImportedVariant& variant : request->table().variants()) {
      response->mutable_spec()->add_variants(variant.variant());
    }
    *response->mutable_imported() = request->table();
    return grpc::Status::OK;
  }

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request, v1::Job* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    if (const grpc::Status failure = Failure("CreateJob"); !failure.ok()) return failure;
    if (const auto found = state_.requests.find(request->request_id()); found != state_.requests.end()) {
      *response = *Find(found->second);
      return grpc::Status::OK;
    }
    *response = SampleJob(absl::StrCat("jobs/new", state_.jobs.size()), 0);
    v1::JobSpec* spec = response->mutable_spec();
    *spec = request->spec();
    if (spec->timing().repeats() == 0) spec->mutable_timing()->set_repeats(3);
    response->set_state(v1::JOB_STATE_QUEUED);
    state_.jobs.insert(state_.jobs.begin(), *response);
    state_.requests[request->request_id()] = response->name();
    return grpc::Status::OK;
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request, v1::Job* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    if (const grpc::Status failure = Failure("GetJob"); !failure.ok()) return failure;
    const v1::Job* job = Find(request->name());
    if (job == nullptr) return NotFound(request->name());
    *response = *job;
    return grpc::Status::OK;
  }

  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    Page(state_, *request, state_.jobs, response, response->mutable_jobs());
    return grpc::Status::OK;
  }

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request, v1::Job* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    v1::Job* job = Find(request->name());
    if (job == nullptr) return NotFound(request->name());
    if (!HasEnded(job->state())) job->set_state(v1::JOB_STATE_CANCELLED);
    *response = *job;
    state_.changed.notify_all();
    return grpc::Status::OK;
  }

  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::Job>* writer) override {
    std::unique_lock<std::mutex> lock(state_.mutex);
    ++state_.watches;
    state_.changed.notify_all();
    std::string sent;
    while (!state_.stopping && !context->IsCancelled()) {
      const v1::Job* job = Find(request->name());
      if (job == nullptr) return NotFound(request->name());
      const v1::Job now = *job;
      if (now.SerializeAsString() != sent) {
        sent = now.SerializeAsString();
        lock.unlock();
        if (!writer->Write(now)) return grpc::Status::OK;
        lock.lock();
        continue;
      }
      if (HasEnded(now.state())) return grpc::Status::OK;
      // The wait ends now and then to see a caller who left.
      state_.changed.wait_for(lock, std::chrono::milliseconds(20));
    }
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
  }

  grpc::Status StreamRecords(grpc::ServerContext*, const v1::StreamRecordsRequest* request,
                             grpc::ServerWriter<v1::StreamRecordsResponse>* writer) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    int first = 0;
    if (!absl::SimpleAtoi(request->cursor(), &first)) first = 0;
    const int end = std::min(first + state_.page_size, static_cast<int>(state_.records.size()));
    v1::StreamRecordsResponse batch;
    for (int i = first; i < end; ++i) *batch.add_records() = state_.records[static_cast<std::size_t>(i)];
    batch.set_cursor(absl::StrCat(end));
    writer->Write(batch);
    // A page is all that one stream gives, so that a reader has to come back.
    if (end < static_cast<int>(state_.records.size())) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
    return grpc::Status::OK;
  }

  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    *response = state_.workers;
    return Failure("ListWorkers");
  }

  grpc::Status ListVariants(grpc::ServerContext*, const v1::ListVariantsRequest*,
                            v1::ListVariantsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    *response = state_.variants;
    return Failure("ListVariants");
  }

 private:
  // Under the lock.
  grpc::Status Failure(const std::string& method) {
    const auto found = state_.failures.find(method);
    return found == state_.failures.end() ? grpc::Status::OK : wire::ToGrpc(found->second);
  }
  v1::Job* Find(const std::string& name) {
    for (v1::Job& job : state_.jobs) {
      if (job.name() == name) return &job;
    }
    return nullptr;
  }

  FakeState& state_;
};

class FakeCoordinator::Ranking : public v1::RankingService::Service {
 public:
  explicit Ranking(FakeState* state) : state_(*state) {}

  grpc::Status MeasureVariants(grpc::ServerContext*, const v1::MeasureVariantsRequest*,
                               v1::MeasureVariantsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    *response = state_.measures;
    return Failure("MeasureVariants");
  }

  grpc::Status RankVariants(grpc::ServerContext*, const v1::RankVariantsRequest* request,
                            v1::RankVariantsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    state_.last_rank = *request;
    *response = state_.ranking;
    return Failure("RankVariants");
  }

  grpc::Status CompareJobs(grpc::ServerContext*, const v1::CompareJobsRequest* request,
                           v1::CompareJobsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    *response = state_.comparison;
    response->set_job(request->job());
    response->set_other_job(request->other_job());
    return Failure("CompareJobs");
  }

  grpc::Status CompareModels(grpc::ServerContext*, const v1::CompareModelsRequest* request,
                             v1::CompareModelsResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    state_.last_models = *request;
    *response = state_.models;
    return Failure("CompareModels");
  }

  grpc::Status CreateProfile(grpc::ServerContext*, const v1::CreateProfileRequest* request,
                             v1::Profile* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    state_.profiles.push_back(request->profile());
    *response = request->profile();
    return grpc::Status::OK;
  }

  grpc::Status GetProfile(grpc::ServerContext*, const v1::GetProfileRequest* request, v1::Profile* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    for (const v1::Profile& profile : state_.profiles) {
      if (profile.name() != request->name()) continue;
      *response = profile;
      return grpc::Status::OK;
    }
    return NotFound(request->name());
  }

  grpc::Status ListProfiles(grpc::ServerContext*, const v1::ListProfilesRequest* request,
                            v1::ListProfilesResponse* response) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    Page(state_, *request, state_.profiles, response, response->mutable_profiles());
    return grpc::Status::OK;
  }

  grpc::Status DeleteProfile(grpc::ServerContext*, const v1::DeleteProfileRequest* request,
                             google::protobuf::Empty*) override {
    const std::lock_guard<std::mutex> lock(state_.mutex);
    const auto gone = std::remove_if(state_.profiles.begin(), state_.profiles.end(),
                                     [&](const v1::Profile& profile) { return profile.name() == request->name(); });
    if (gone == state_.profiles.end()) return NotFound(request->name());
    state_.profiles.erase(gone, state_.profiles.end());
    return grpc::Status::OK;
  }

 private:
  grpc::Status Failure(const std::string& method) {
    const auto found = state_.failures.find(method);
    return found == state_.failures.end() ? grpc::Status::OK : wire::ToGrpc(found->second);
  }

  FakeState& state_;
};

FakeCoordinator::FakeCoordinator()
    : evaluation_(std::make_unique<Evaluation>(&state_)), ranking_(std::make_unique<Ranking>(&state_)) {
  state_.measures = SampleMeasures();
  state_.ranking = SampleRanking();
  for (const char* id : {"balanced", "latency-critical", "memory", "memory-constrained"}) {
    v1::Profile profile = state_.ranking.profile();
    profile.set_name(absl::StrCat("profiles/", id));
    profile.set_built_in(true);
    state_.profiles.push_back(profile);
  }
  Start();
}

FakeCoordinator::~FakeCoordinator() { Stop(); }

std::string FakeCoordinator::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeCoordinator::Start() {
  With([](FakeState& state) { state.stopping = false; });
  grpc::ServerBuilder builder;
  wire::ConfigureServer(builder);
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(evaluation_.get());
  builder.RegisterService(ranking_.get());
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr) << "cannot serve on " << address();
}

void FakeCoordinator::Stop() {
  if (server_ == nullptr) return;
  With([](FakeState& state) { state.stopping = true; });
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
  server_->Wait();
  server_.reset();
}

void FakeCoordinator::With(const std::function<void(FakeState&)>& act) {
  const std::lock_guard<std::mutex> lock(state_.mutex);
  act(state_);
  state_.changed.notify_all();
}

void FakeCoordinator::Add(const v1::Job& job) {
  With([&](FakeState& state) { state.jobs.insert(state.jobs.begin(), job); });
}

void FakeCoordinator::Change(const std::string& name, const std::function<void(v1::Job&)>& act) {
  With([&](FakeState& state) {
    for (v1::Job& job : state.jobs) {
      if (job.name() == name) act(job);
    }
  });
}

bool FakeCoordinator::Await(const std::function<bool(const FakeState&)>& condition) {
  std::unique_lock<std::mutex> lock(state_.mutex);
  return state_.changed.wait_for(lock, Patience(), [&] { return condition(state_); });
}

v1::Job SampleJob(const std::string& name, int done) {
  v1::Job job;
  job.set_name(name);
  job.set_state(v1::JOB_STATE_RUNNING);
  v1::JobSpec* spec = job.mutable_spec();
  spec->set_model("smollm2-135m-instruct");
  for (const char* variant : {"fp16", "rtn-w8-channel", "rtn-w4-g64"}) spec->add_variants(variant);
  spec->set_prompt_set("promptSets/" + std::string(64, 'a'));
  spec->mutable_timing()->set_repeats(3);
  spec->mutable_timing()->set_max_output_tokens(512);
  job.mutable_create_time()->set_seconds(1'700'000'000);
  job.mutable_start_time()->set_seconds(1'700'000'000);
  v1::JobProgress* progress = job.mutable_progress();
  progress->set_records_done(done);
  progress->set_records_total(360);
  for (const std::string& variant : spec->variants()) {
    v1::VariantProgress* entry = progress->add_variants();
    entry->set_variant(variant);
    entry->set_state(v1::VARIANT_STATE_READY);
  }
  return job;
}

v1::MeasureVariantsResponse SampleMeasures() {
  struct Row {
    const char* variant;
    double latency, half_width, ttft, tokens_per_s, speedup, stability, delta_ppl, delta_nll, nll_half_width;
    std::int64_t memory;
  };
  v1::MeasureVariantsResponse response;
  for (const Row& row : {Row{"fp16", 1.912, .011, .084, 33.5, 1, .0042, 0, 0, 0, 269'000'000},
                         Row{"rtn-w8-channel", 1.204, .009, .085, 53.2, 1.59, .0051, .06, .003, .001, 163'000'000},
                         Row{"rtn-w4-g64", .874, .012, .091, 73.3, 2.19, .0077, 8.71, .361, .02, 117'000'000}}) {
    v1::VariantMeasures* m = response.add_variants();
    m->set_variant(row.variant);
    m->set_timing_records(120);
    m->set_prompts(40);
    m->set_repeats(3);
    m->mutable_latency_s()->set_value(row.latency);
    m->mutable_latency_s()->set_half_width(row.half_width);
    m->mutable_ttft_s()->set_value(row.ttft);
    m->mutable_tokens_per_s()->set_value(row.tokens_per_s);
    m->set_speedup(row.speedup);
    m->set_relative_stability(row.stability);
    m->set_delta_perplexity(row.delta_ppl);
    m->mutable_delta_nll()->set_value(row.delta_nll);
    m->mutable_delta_nll()->set_half_width(row.nll_half_width);
    m->set_memory_bytes(row.memory);
  }
  response.set_job("jobs/k7f2m9");
  response.add_notes("loss is relative to the Q4_1 release of this model");
  return response;
}

v1::RankVariantsResponse SampleRanking() {
  v1::RankVariantsResponse response;
  response.set_job("jobs/k7f2m9");
  v1::Profile* profile = response.mutable_profile();
  profile->set_name("profiles/balanced");
  profile->set_description("speed and quality alike");
  profile->set_formula(v1::UTILITY_FORMULA_FULL);
  profile->set_normalization(v1::NORMALIZATION_BASELINE);
  profile->mutable_weights()->set_speed(.4);
  profile->mutable_weights()->set_quality(.4);
  profile->mutable_weights()->set_stability(.2);
  profile->set_max_delta_nll(.3);
  response.set_formula("U = 0.4 S~ - 0.4 Q~ - 0.2 P~; S~ = log2(T / 33.5 tokens/s)");
  response.set_conditions("output lengths matched, 8 windows of 512 tokens");
  const auto add_term = [](v1::RankedVariant* variant, const char* name, double contribution) {
    v1::Term* term = variant->add_terms();
    term->set_name(name);
    term->set_contribution(contribution);
  };
  v1::RankedVariant* first = response.add_variants();
  first->set_variant("rtn-w8-channel");
  first->set_rank(1);
  first->set_status(v1::RANK_STATUS_RANKED);
  first->set_utility(.24);
  add_term(first, "speed", .268);
  add_term(first, "quality", -.012);
  add_term(first, "stability", -.016);
  v1::RankedVariant* second = response.add_variants();
  second->set_variant("fp16");
  second->set_rank(2);
  second->set_status(v1::RANK_STATUS_RANKED);
  second->set_utility(0);
  for (const char* name : {"speed", "quality", "stability"}) add_term(second, name, 0);
  v1::RankedVariant* third = response.add_variants();
  third->set_variant("rtn-w4-g64");
  third->set_status(v1::RANK_STATUS_NOT_FEASIBLE);
  third->set_reason("ΔNLL 0.361 > 0.3");
  response.set_winner("rtn-w8-channel");
  response.add_warnings("the loss is relative to the Q4_1 release");
  response.set_records_used(384);
  return response;
}

}  // namespace uaqf::client
