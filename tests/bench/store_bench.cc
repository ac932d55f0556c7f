// How fast the store takes and gives records: store_bench [RECORDS] [FOLDER]
//
// One job of RECORDS timing records (default 100000) in chunks of 100 and of 6 variants goes through lease, batch and
// acceptance in FOLDER (default: the working folder), as the coordinator does it: what comes in one turn of its loop is
// one transaction. Then what RankVariants reads is read 5 times.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/plan.h"
#include "server/store/sqlite_store.h"

namespace {

using uaqf::core::Mutation;
using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

uaqf::core::JobSpec Spec(std::int64_t records) {
  uaqf::core::JobSpec spec;
  spec.model = "m";
  spec.variants = {"fp16", "rtn-w8", "rtn-w4", "rtn-w8-channel", "rtn-w4-channel", "rtn-w4-g64"};
  spec.timing.block_prompts = 100;
  spec.timing.repeats = static_cast<std::int32_t>(std::max<std::int64_t>(1, records / 6 / 1000));
  return spec;
}

std::vector<uaqf::core::RecordRow> Rows(const uaqf::core::Chunk& chunk) {
  std::vector<uaqf::core::RecordRow> rows(chunk.count);
  for (std::int32_t i = 0; i < chunk.count; ++i) {
    uaqf::core::RecordRow& row = rows[i];
    row.item = chunk.first + i;
    row.repeat = chunk.repeat;
    row.latency_ns = 900'000'000 + i;
    row.prefill_ns = 80'000'000 + i;
    row.decode_ns = 820'000'000;
    row.input_tokens = 100;
    row.output_tokens = 32;
    row.blob.assign(220, 'x');  // a record with 31 gaps between tokens
  }
  return rows;
}

// The mutations of one chunk from lease to acceptance.
void Append(const uaqf::core::Chunk& chunk, std::vector<Mutation>* mutations) {
  const uaqf::core::AttemptId id{"bench", chunk.index, 1};
  mutations->push_back(uaqf::core::LeaseChunk{id, "w", "w/0", "d"});
  mutations->push_back(uaqf::core::AppendRecords{id, 0, Rows(chunk)});
  uaqf::core::CloseAttempt close;
  close.attempt = id;
  mutations->push_back(close);
}

int Run(std::int64_t records, const std::string& folder) {
  const std::string path = folder + "/store_bench.db";
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
  uaqf::store::SqliteOptions options;
  options.path = path;
  auto store = uaqf::store::OpenSqliteStore(options);
  if (!store.ok()) {
    std::fprintf(stderr, "error: %s\n", store.status().ToString().c_str());
    return 1;
  }
  uaqf::core::CreateJob create;
  create.id = "bench";
  create.spec = Spec(records);
  create.prompt_count = 1000;
  std::vector<uaqf::core::Chunk> plan = uaqf::core::MakePlan(create.spec, create.prompt_count, {});
  uaqf::core::PlanJob plan_job;
  plan_job.job = "bench";
  plan_job.chunks = plan;
  std::vector<Mutation> planned;
  planned.emplace_back(create);
  planned.emplace_back(plan_job);
  if (!(*store)->Commit(planned).ok()) return 1;

  std::int64_t stored = 0;
  const auto begin = Clock::now();
  for (std::size_t chunk = 0; chunk < plan.size(); ++chunk) {
    std::vector<Mutation> mutations;
    Append(plan[chunk], &mutations);
    if (!(*store)->Commit(mutations).ok()) return 1;
    stored += plan[chunk].count;
  }
  const double write_s = Seconds(begin);
  std::printf("commit   %lld records in %zu commits of 100: %.0f records/s, %.2f ms a commit\n",
              static_cast<long long>(stored), plan.size(), static_cast<double>(stored) / write_s,
              1e3 * write_s / static_cast<double>(plan.size()));

  std::vector<double> reads;
  std::vector<double> cpu;
  for (int i = 0; i < 5; ++i) {
    const auto start = Clock::now();
    const std::clock_t cpu_start = std::clock();
    const auto measured = (*store)->ReadMeasurements("bench");
    if (!measured.ok()) return 1;
    reads.push_back(Seconds(start));
    cpu.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
    stored = static_cast<std::int64_t>(measured->timings.item.size() + measured->generations.item.size());
  }
  std::sort(reads.begin(), reads.end());
  std::sort(cpu.begin(), cpu.end());
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("read     %lld records: median %.1f ms, %.1f ms of processor time\n", static_cast<long long>(stored),
              1e3 * reads[2], 1e3 * cpu[2]);
  std::printf("file     %.1f MB; peak memory %.0f MiB\n", static_cast<double>(std::filesystem::file_size(path)) / 1e6,
              static_cast<double>(usage.ru_maxrss) / 1024);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return Run(argc > 1 ? std::atoll(argv[1]) : 100'000, argc > 2 ? argv[2] : "."); }
