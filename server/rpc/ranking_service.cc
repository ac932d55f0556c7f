#include "server/rpc/ranking_service.h"

#include <google/protobuf/empty.pb.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/agreements.h"
#include "server/rpc/compare_models.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"
#include "server/rpc/evaluation_service.h"
#include "server/rpc/evidence_convert.h"
#include "server/rpc/profiles.h"
#include "server/rpc/ranking_convert.h"
#include "server/rpc/slice_labels.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

constexpr char kTokenPrefix[] = "profiles:";

// A token is the name of the last profile of the page before.
absl::StatusOr<std::string> DecodeToken(const std::string& token) {
  std::string text;
  if (token.empty()) return text;
  if (absl::WebSafeBase64Unescape(token, &text) && text.rfind(kTokenPrefix, 0) == 0) {
    text.erase(0, sizeof(kTokenPrefix) - 1);
    if (wire::ParseProfileName(text).ok()) return text;
  }
  return wire::Error(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN",
                     "got a page_token that is not of ListProfiles, expected next_page_token of the page before");
}

std::string EncodeToken(const std::string& name) {
  std::string token;
  absl::WebSafeBase64Escape(absl::StrCat(kTokenPrefix, name), &token);
  return token;
}

// Those of the request beside, or in place of, those of the profile.
void AddConstraints(const v1::RankVariantsRequest& request, v1::Profile& profile) {
  if (request.price_per_hour() != 0) profile.set_price_per_hour(request.price_per_hour());
  if (!request.traffic().empty()) *profile.mutable_traffic() = request.traffic();
  if (request.context_tokens() != 0) profile.set_context_tokens(request.context_tokens());
  if (request.device_memory_bytes() != 0) profile.set_device_memory_bytes(request.device_memory_bytes());
  const int own = profile.constraints_size();
  for (const v1::Constraint& constraint : request.constraints()) {
    const auto end = profile.mutable_constraints()->begin() + own;
    const auto same = std::find_if(profile.mutable_constraints()->begin(), end,
                                   [&](const v1::Constraint& c) { return c.figure() == constraint.figure(); });
    *(same == end ? profile.add_constraints() : &*same) = constraint;
  }
}

// The jobs whose variants are to be ranked together, the one with the baseline first.
absl::StatusOr<std::vector<core::JobId>> JobsOf(const v1::RankVariantsRequest& request) {
  constexpr int kMostMore = 15;
  if (request.more_jobs_size() > kMostMore) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                       absl::StrCat("got ", request.more_jobs_size(), " more_jobs, expected at most ", kMostMore));
  }
  auto first = wire::ParseJobName(request.job());
  if (!first.ok()) return first.status();
  std::vector<core::JobId> jobs = {*std::move(first)};
  for (const std::string& name : request.more_jobs()) {
    auto id = wire::ParseJobName(name);
    if (!id.ok()) return id.status();
    if (std::find(jobs.begin(), jobs.end(), *id) != jobs.end()) return JobTwice(*id);
    jobs.push_back(*std::move(id));
  }
  return jobs;
}

absl::Status CheckWeights(const v1::Profile& profile) {
  const absl::Status valid = ranking::Validate(FromProto(profile));
  return valid.ok() ? valid : wire::WithReason(valid, "INVALID_PROFILE");
}

}  // namespace

grpc::ServerUnaryReactor* RankingService::MeasureVariants(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::MeasureVariantsRequest, v1::MeasureVariantsResponse>(
      context, request, response, context_.metrics, "RankingService/MeasureVariants",
      [this](v1::MeasureVariantsRequest message, const Call<v1::MeasureVariantsResponse>& call) {
        auto id = wire::ParseJobName(message.job());
        if (!id.ok()) return call->Finish(id.status());
        OnExecutor(context_.executor, call, [this, call, id = *id] {
          auto measures = measurer_->Of({id});
          if (!measures.ok()) return call->Finish(measures.status());
          v1::MeasureVariantsResponse answer;
          answer.set_job(wire::JobName(id));
          for (const ranking::VariantMeasures& variant : (*measures)->all) *answer.add_variants() = ToProto(variant);
          for (const std::string& note : ranking::Notes((*measures)->all, Facts((*measures)->view))) {
            answer.add_notes(note);
          }
          answer.mutable_configurations()->Assign((*measures)->configurations.begin(),
                                                  (*measures)->configurations.end());
          if ((*measures)->evidence) {
            *answer.mutable_evidence() = ToProto(*(*measures)->evidence, (*measures)->view);
          }
          if (const auto& twin = (*measures)->decision.twin) {
            *answer.mutable_noise_floor() = ToProto(ranking::FloorOf(*twin, ranking::Profile()));
          }
          call->Finish(answer);
        });
      });
}

grpc::ServerUnaryReactor* RankingService::RankVariants(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::RankVariantsRequest, v1::RankVariantsResponse>(
      context, request, response, context_.metrics, "RankingService/RankVariants",
      [this](v1::RankVariantsRequest message, const Call<v1::RankVariantsResponse>& call) {
        auto jobs = JobsOf(message);
        if (!jobs.ok()) return call->Finish(jobs.status());
        OnExecutor(context_.executor, call,
                   [this, call, message = std::move(message), jobs = *jobs] { call->Finish(Rank(message, jobs)); });
      });
}

grpc::ServerUnaryReactor* RankingService::CompareJobs(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::CompareJobsRequest, v1::CompareJobsResponse>(
      context, request, response, context_.metrics, "RankingService/CompareJobs",
      [this](v1::CompareJobsRequest message, const Call<v1::CompareJobsResponse>& call) {
        auto one = wire::ParseJobName(message.job()), other = wire::ParseJobName(message.other_job());
        if (!one.ok()) return call->Finish(one.status());
        if (!other.ok()) return call->Finish(other.status());
        if (*one == *other) return call->Finish(JobTwice(*one));
        OnExecutor(context_.executor, call, [this, call, one = *one, other = *other, by = message.behaviour()] {
          call->Finish(Compare(one, other, by));
        });
      });
}

absl::StatusOr<v1::CompareJobsResponse> RankingService::Compare(const core::JobId& one, const core::JobId& other,
                                                                bool behaviour) {
  v1::CompareJobsResponse answer;
  if (behaviour) {
    const auto comparison = measurer_->CompareOutputs(one, other);
    if (!comparison.ok()) return comparison.status();
    answer = ToProto(*comparison);
  } else {
    const auto comparison = measurer_->Compare(one, other);
    if (!comparison.ok()) return comparison.status();
    answer = ToProto(*comparison);
  }
  answer.set_job(wire::JobName(one));
  answer.set_other_job(wire::JobName(other));
  return answer;
}

grpc::ServerUnaryReactor* RankingService::CompareModels(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::CompareModelsRequest, v1::CompareModelsResponse>(
      context, request, response, context_.metrics, "RankingService/CompareModels",
      [this](const v1::CompareModelsRequest& message, const Call<v1::CompareModelsResponse>& call) {
        auto jobs = JobsOf(message);
        if (!jobs.ok()) return call->Finish(jobs.status());
        // A view that is not taken is destroyed, and with it the call, which then answers UNAVAILABLE.
        context_.coordinator->Look([this, call, jobs = *jobs](const core::Scheduler& scheduler, core::Instant) {
          OnExecutor(context_.executor, call, [this, call, jobs, sizes = SizesOf(scheduler.Workers())] {
            call->Finish(rpc::CompareModels(*measurer_, jobs, sizes));
          });
        });
      });
}

absl::StatusOr<v1::RankVariantsResponse> RankingService::Rank(const v1::RankVariantsRequest& request,
                                                              const std::vector<core::JobId>& jobs) {
  auto profile = ProfileOf(request);
  if (!profile.ok()) return profile.status();
  if (jobs.size() > 1 && !profile->traffic().empty()) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "TRAFFIC_OF_SEVERAL_JOBS",
                       absl::StrCat("got ", jobs.size(),
                                    " jobs and a profile with traffic, expected one of them: a traffic grid is of one "
                                    "job. Rank each job alone, or by a profile without traffic"));
  }
  auto measures = measurer_->Of(jobs);
  if (!measures.ok()) return measures.status();
  auto ranked = RankJob(**measures, FromProto(*profile), request.ignore_sanity());
  if (!ranked.ok()) return ranked.status();
  v1::RankVariantsResponse answer = ToProto(*ranked);
  if (request.split() != v1::SPLIT_UNSPECIFIED) {
    if (absl::Status sliced = AddSlices(request, jobs, **measures, FromProto(*profile), answer); !sliced.ok()) {
      return sliced;
    }
  }
  for (std::size_t k = 1; k < jobs.size(); ++k) answer.add_more_jobs(wire::JobName(jobs[k]));
  *answer.mutable_profile() = *std::move(profile);
  answer.mutable_configurations()->Assign((*measures)->configurations.begin(), (*measures)->configurations.end());
  if ((*measures)->evidence) *answer.mutable_evidence() = ToProto(*(*measures)->evidence, (*measures)->view);
  if ((*measures)->view.device_time) *answer.mutable_device_time() = ToProto(*(*measures)->view.device_time);
  return answer;
}

absl::Status RankingService::AddSlices(const v1::RankVariantsRequest& request, const std::vector<core::JobId>& jobs,
                                       const JobMeasures& measures, const ranking::Profile& profile,
                                       v1::RankVariantsResponse& answer) {
  if (!v1::Split_IsValid(request.split())) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "UNKNOWN_ENUM",
                       absl::StrCat("got split = ", request.split(), ", expected CATEGORY or GROUP"));
  }
  if (!profile.traffic.empty()) {
    return wire::Error(
        absl::StatusCode::kInvalidArgument, "TRAFFIC_NOT_SPLIT",
        "got a split and a profile with traffic, expected one of them: batches are timed over prompts of all "
        "kinds. Rank without a split, or by a profile without traffic");
  }
  if (measures.view.imported) {
    return wire::Error(absl::StatusCode::kFailedPrecondition, "NO_PROMPTS",
                       absl::StrCat("got a split of ", wire::JobName(jobs[0]),
                                    ", which was imported: a published table has no "
                                    "prompts to split"));
  }
  const auto labels = LabelPrompts(*context_.store, measures.view.spec.prompt_set, request.split());
  if (!labels.ok()) return labels.status();
  const auto slices = measurer_->RankSlices(jobs, *labels, profile, request.ignore_sanity());
  if (!slices.ok()) return slices.status();
  for (const ranking::Slice& slice : *slices) *answer.add_slices() = ToProto(slice);
  return absl::OkStatus();
}

absl::StatusOr<v1::Profile> RankingService::ProfileOf(const v1::RankVariantsRequest& request) {
  v1::Profile profile;
  switch (request.choice_case()) {
    case v1::RankVariantsRequest::kInlineProfile:
      profile = request.inline_profile();
      break;
    case v1::RankVariantsRequest::kProfile: {
      auto found = FindProfile(context_.store, request.profile());
      if (!found.ok()) return found.status();
      profile = *std::move(found);
      break;
    }
    case v1::RankVariantsRequest::CHOICE_NOT_SET:
      return wire::Error(absl::StatusCode::kInvalidArgument, "NO_PROFILE",
                         "got neither profile nor inline_profile, expected one, e.g. profiles/balanced");
  }
  AddConstraints(request, profile);
  if (absl::Status valid = Validate(profile); !valid.ok()) return valid;
  if (absl::Status weights = CheckWeights(profile); !weights.ok()) return weights;
  return profile;
}

grpc::ServerUnaryReactor* RankingService::CreateProfile(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::CreateProfileRequest, v1::Profile>(
      context, request, response, context_.metrics, "RankingService/CreateProfile",
      [this](v1::CreateProfileRequest message, const Call<v1::Profile>& call) {
        if (absl::Status valid = Validate(message); !valid.ok()) return call->Finish(valid);
        if (absl::Status weights = CheckWeights(message.profile()); !weights.ok()) return call->Finish(weights);
        OnExecutor(context_.executor, call,
                   [this, call, profile = message.profile()] { call->Finish(Create(profile)); });
      });
}

absl::StatusOr<v1::Profile> RankingService::Create(const v1::Profile& profile) {
  v1::Profile kept = profile;
  kept.set_built_in(false);
  kept.DiscardUnknownFields();
  const absl::Status taken = wire::Error(
      absl::StatusCode::kAlreadyExists, "PROFILE_EXISTS",
      absl::StrCat("got the name ", kept.name(), ", which another profile has; choose another, or delete that one"));
  if (ranking::FindBuiltInProfile(kept.name()) != nullptr) return taken;
  const absl::Status created = context_.store->CreateProfile({kept.name(), kept.SerializeAsString()});
  if (created.ok()) return kept;
  if (!absl::IsAlreadyExists(created)) return created;
  // The repetition of a call that was lost on its way back.
  auto existing = FindProfile(context_.store, kept.name());
  if (existing.ok() && existing->SerializeAsString() == kept.SerializeAsString()) return kept;
  return taken;
}

grpc::ServerUnaryReactor* RankingService::GetProfile(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::GetProfileRequest, v1::Profile>(
      context, request, response, context_.metrics, "RankingService/GetProfile",
      [this](v1::GetProfileRequest message, const Call<v1::Profile>& call) {
        OnExecutor(context_.executor, call,
                   [this, call, name = message.name()] { call->Finish(FindProfile(context_.store, name)); });
      });
}

grpc::ServerUnaryReactor* RankingService::ListProfiles(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::ListProfilesRequest, v1::ListProfilesResponse>(
      context, request, response, context_.metrics, "RankingService/ListProfiles",
      [this](v1::ListProfilesRequest message, const Call<v1::ListProfilesResponse>& call) {
        if (absl::Status size = ValidatePageSize(message.page_size(), 1000); !size.ok()) return call->Finish(size);
        auto after = DecodeToken(message.page_token());
        if (!after.ok()) return call->Finish(after.status());
        const std::int32_t size = message.page_size() == 0 ? 100 : message.page_size();
        OnExecutor(context_.executor, call, [this, call, after = *after, size] { call->Finish(List(after, size)); });
      });
}

absl::StatusOr<v1::ListProfilesResponse> RankingService::List(const std::string& after, std::int32_t size) {
  v1::ListProfilesResponse answer;
  const std::vector<ranking::Profile>& built_in = ranking::BuiltInProfiles();
  const auto last = std::find_if(built_in.begin(), built_in.end(), [&](const auto& p) { return p.name == after; });
  // Built-in ones come first, in their own order; a token that names a stored one is past them.
  const bool past = !after.empty() && last == built_in.end();
  auto next = past ? built_in.end() : after.empty() ? built_in.begin() : last + 1;
  for (; next != built_in.end() && answer.profiles_size() < size; ++next) *answer.add_profiles() = ToProto(*next);
  if (next == built_in.end() && answer.profiles_size() < size) {
    // One more tells whether there is another page.
    const std::int32_t left = size - answer.profiles_size();
    auto stored = context_.store->ListProfiles(past ? after : "", left + 1);
    if (!stored.ok()) return stored.status();
    for (std::int32_t i = 0; i < std::min(left, static_cast<std::int32_t>(stored->size())); ++i) {
      auto profile = ParseStored((*stored)[static_cast<std::size_t>(i)]);
      if (!profile.ok()) return profile.status();
      *answer.add_profiles() = *std::move(profile);
    }
    if (static_cast<std::int32_t>(stored->size()) <= left) return answer;
  }
  answer.set_next_page_token(EncodeToken(answer.profiles(answer.profiles_size() - 1).name()));
  return answer;
}

grpc::ServerUnaryReactor* RankingService::DeleteProfile(Context* context, const Bytes* request, Bytes* response) {
  return HandleUnary<v1::DeleteProfileRequest, google::protobuf::Empty>(
      context, request, response, context_.metrics, "RankingService/DeleteProfile",
      [this](v1::DeleteProfileRequest message, const Call<google::protobuf::Empty>& call) {
        if (auto id = wire::ParseProfileName(message.name()); !id.ok()) return call->Finish(id.status());
        if (ranking::FindBuiltInProfile(message.name()) != nullptr) {
          return call->Finish(wire::Error(absl::StatusCode::kFailedPrecondition, "PROFILE_BUILT_IN",
                                          absl::StrCat("got ", message.name(), ", which is built in and stays")));
        }
        if (const std::string job = context_.board->DecidedBy(message.name()); !job.empty()) {
          return call->Finish(wire::Error(
              absl::StatusCode::kFailedPrecondition, "PROFILE_DECIDES_A_JOB",
              absl::StrCat("got ", message.name(), ", by which ", job, " is decided: wait for its end, or cancel it")));
        }
        OnExecutor(context_.executor, call, [this, call, name = message.name()] {
          const absl::Status deleted = context_.store->DeleteProfile(name);
          if (!deleted.ok()) return call->Finish(OrMissing(deleted, NoSuchProfile(name)));
          call->Finish(google::protobuf::Empty());
        });
      });
}

}  // namespace uaqf::rpc
