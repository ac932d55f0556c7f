// What the client services are built on, and the caps they keep. Borrowed; everything outlives the services.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "server/core/validate.h"
#include "server/metrics/metrics.h"
#include "server/rpc/coordinator.h"
#include "server/rpc/executor.h"
#include "server/rpc/job_board.h"
#include "server/rpc/stream.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

struct Limits {
  core::Limits job;
  std::int64_t prompt_set_items = 100'000;
  std::int64_t prompt_set_bytes = 64 << 20;
  // Bytes of all uploads in progress together.
  std::int64_t upload_bytes = 256 << 20;
  // One item; less than a message of a batch.
  std::int64_t prompt_bytes = 1'000'000;
  std::size_t watchers = 1000;
  // Summaries of FP16 that are kept for one job, and those under way together, bytes.
  std::int64_t summary_job_bytes = std::int64_t{8} << 30;
  std::int64_t summary_upload_bytes = 512 << 20;
};

struct ServiceContext {
  Limits limits;
  store::Store* store = nullptr;
  Coordinator* coordinator = nullptr;
  JobBoard* board = nullptr;
  // For what reads the store; see Executor.
  Executor* executor = nullptr;
  metrics::Metrics* metrics = nullptr;
  StreamRegistry* streams = nullptr;
};

}  // namespace uaqf::rpc
