// A coordinator without workers, store or plan: it keeps what it is given and says what the test puts in.
#pragma once

#include <grpcpp/server.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "uaqf/v1/evaluation_service.grpc.pb.h"
#include "uaqf/v1/ranking_service.grpc.pb.h"

namespace uaqf::client {

// What all servers of one test share: the "store". Guarded by `mutex`; change it through the FakeCoordinator.
struct FakeState {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<v1::PromptSet> sets;                       // newest first
  std::map<std::string, std::vector<v1::Prompt>> items;  // by set name
  std::vector<std::size_t> upload_messages;              // serialized sizes, of the last upload
  std::vector<v1::Job> jobs;                             // newest first
  std::map<std::string, std::string> requests;           // request_id to job name
  std::vector<v1::StoredRecord> records;                 // of any job
  v1::ListWorkersResponse workers;
  v1::ListVariantsResponse variants;
  v1::MeasureVariantsResponse measures;
  v1::RankVariantsResponse ranking;
  v1::RankVariantsRequest last_rank;
  v1::CompareJobsResponse comparison;
  v1::CompareModelsResponse models;
  v1::CompareModelsRequest last_models;
  std::vector<v1::Profile> profiles;
  std::map<std::string, absl::Status> failures;  // method name to what it answers
  int page_size = 1000;                          // at most, whatever is asked for
  int watches = 0;                               // streams of WatchJob begun
  bool stopping = false;
};

class FakeCoordinator {
 public:
  // Serves on a port of the system's choice.
  FakeCoordinator();
  ~FakeCoordinator();

  // "127.0.0.1:PORT"; stays the same over Stop and Start.
  std::string address() const;
  void Stop();
  void Start();

  // Reads or changes the state under its lock and wakes the watchers.
  void With(const std::function<void(FakeState&)>& act);
  void Add(const v1::Job& job);
  // Changes a job; watchers see it.
  void Change(const std::string& job, const std::function<void(v1::Job&)>& act);
  // Waits until `condition` holds of the state; false after 10 s.
  bool Await(const std::function<bool(const FakeState&)>& condition);

 private:
  class Evaluation;
  class Ranking;

  FakeState state_;
  std::unique_ptr<Evaluation> evaluation_;
  std::unique_ptr<Ranking> ranking_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A job that runs: three variants, 40 prompts, 3 repeats, `done` of 360 records.
v1::Job SampleJob(const std::string& name, int done);
// Its measures: fp16, an 8-bit variant, a 4-bit one with a loss.
v1::MeasureVariantsResponse SampleMeasures();
// Its ranking: the 8-bit variant wins, the 4-bit one is not feasible.
v1::RankVariantsResponse SampleRanking();

}  // namespace uaqf::client
