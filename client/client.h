// UAQF from a program: typed calls over one connection to a coordinator.
//
// Every unary call has a deadline and is retried by the channel's policy (UNAVAILABLE, reads and calls with a
// request_id). Errors are absl::Status with the server's code, message and ErrorInfo reason (wire::Reason); a lost
// coordinator is UNAVAILABLE, one that does not answer DEADLINE_EXCEEDED, both naming its address. Lists are complete:
// all pages. Calls may be made from any thread.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/wire/credentials.h"
#include "uaqf/v1/evaluation_service.grpc.pb.h"
#include "uaqf/v1/ranking_service.grpc.pb.h"

namespace uaqf::client {

inline constexpr char kDefaultServer[] = "127.0.0.1:7600";
// How long Connect tries.
inline constexpr absl::Duration kConnectPatience = absl::Seconds(2);

// Ends streams from another thread. Cancelled once, for good.
class Cancellation {
 public:
  // Ends the stream that runs now and every one begun later.
  void Cancel();
  bool cancelled() const;
  // Waits, at most `duration`; true when cancelled.
  bool WaitFor(absl::Duration duration) const;

  // For Client: `context` is cancelled by Cancel until it is detached.
  void Attach(grpc::ClientContext* context);
  void Detach();

 private:
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

class Client {
 public:
  // Connects to `address` ("HOST:PORT"), trying for `patience`. Unavailable: says why there is no coordinator and how
  // to get one. InvalidArgument and others: see wire::ChannelCredentials.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& address,
                                                                       const wire::Security& security,
                                                                       absl::Duration patience = kConnectPatience);
  // Over a channel that the caller set up; `address` is for messages only.
  Client(std::shared_ptr<grpc::Channel> channel, std::string address);

  const std::string& address() const { return address_; }

  // Uploads a set. The same content gives the same set, whatever the label and the sources.
  [[nodiscard]] absl::StatusOr<v1::PromptSet> CreatePromptSet(const std::string& display_name, v1::PromptSetKind kind,
                                                              const std::vector<v1::Prompt>& prompts,
                                                              const std::vector<v1::PromptSource>& sources = {});
  [[nodiscard]] absl::StatusOr<v1::PromptSet> GetPromptSet(const std::string& name);
  // Newest first.
  [[nodiscard]] absl::StatusOr<v1::ListPromptSetsResponse> ListPromptSets();

  [[nodiscard]] absl::StatusOr<v1::Job> CreateJob(const std::string& request_id, const v1::JobSpec& spec);
  [[nodiscard]] absl::StatusOr<v1::Job> ImportJob(const std::string& request_id, const v1::ImportedTable& table);
  [[nodiscard]] absl::StatusOr<v1::Job> GetJob(const std::string& name);
  // Newest first.
  [[nodiscard]] absl::StatusOr<v1::ListJobsResponse> ListJobs();
  [[nodiscard]] absl::StatusOr<v1::Job> CancelJob(const std::string& name, const std::string& request_id);
  // Calls `on_state` with the state now and after each change, until the job ends (Ok), the stream breaks, or
  // `cancellation` is cancelled (both Unavailable). One stream: FollowJob in watch.h reconnects.
  [[nodiscard]] absl::Status WatchJob(const std::string& name, const std::function<void(const v1::Job&)>& on_state,
                                      Cancellation& cancellation);
  // Calls `on_batch` with the accepted records from `cursor` on (empty: all), with `follow` until the job ends.
  // One stream; each batch carries the cursor to go on from.
  [[nodiscard]] absl::Status StreamRecords(const v1::StreamRecordsRequest& request,
                                           const std::function<void(const v1::StreamRecordsResponse&)>& on_batch,
                                           Cancellation& cancellation);

  [[nodiscard]] absl::StatusOr<v1::ListWorkersResponse> ListWorkers();
  [[nodiscard]] absl::StatusOr<v1::ListVariantsResponse> ListVariants(const std::string& model);

  [[nodiscard]] absl::StatusOr<v1::MeasureVariantsResponse> MeasureVariants(const std::string& job);
  [[nodiscard]] absl::StatusOr<v1::RankVariantsResponse> RankVariants(const v1::RankVariantsRequest& request);
  [[nodiscard]] absl::StatusOr<v1::CompareJobsResponse> CompareJobs(const std::string& job, const std::string& other,
                                                                    bool behaviour = false);
  [[nodiscard]] absl::StatusOr<v1::CompareModelsResponse> CompareModels(const std::vector<std::string>& jobs);
  [[nodiscard]] absl::StatusOr<v1::Profile> CreateProfile(const v1::Profile& profile, const std::string& request_id);
  [[nodiscard]] absl::StatusOr<v1::Profile> GetProfile(const std::string& name);
  [[nodiscard]] absl::StatusOr<v1::ListProfilesResponse> ListProfiles();
  [[nodiscard]] absl::Status DeleteProfile(const std::string& name, const std::string& request_id);

 private:
  // `status` of a call, with the address where the transport and not the coordinator speaks.
  absl::Status Told(const grpc::Status& status, absl::Duration deadline) const;
  template <typename Response, typename Request, typename Stub>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request) const;

  // Owned here, and outlives the calls.
  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  const std::unique_ptr<v1::EvaluationService::StubInterface> evaluation_;
  const std::unique_ptr<v1::RankingService::StubInterface> ranking_;
};

// A request_id nobody else uses: 128 random bits in hex.
std::string RandomRequestId();

// True for SUCCEEDED, CANCELLED and FAILED.
bool HasEnded(v1::JobState state);

}  // namespace uaqf::client
