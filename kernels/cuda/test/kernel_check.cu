// Compares every kernel with a float64 reference on the host. `kernel_check
// [matrices|decode|kv|prefill|products|batch|quick|tiny]...`; without arguments everything. Prints a line a case; exit
// status 1 if any failed.
#include <atomic>
#include <cstring>
#include <thread>

#include "kernels/cuda/test/check.h"

namespace uaqf::cuda {

void ParallelFor(int count, const std::function<void(int)>& body) {
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  const int workers = std::max(1, std::min(16, static_cast<int>(std::thread::hardware_concurrency())));
  for (int t = 0; t < workers; ++t) {
    threads.emplace_back([&] {
      for (int i = next++; i < count; i = next++) body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace uaqf::cuda

int main(int argc, char** argv) {
  using namespace uaqf::cuda;
  const auto asked = [&](const char* name) {
    for (int i = 1; i < argc; ++i) {
      if (std::strcmp(argv[i], name) == 0) return true;
    }
    return false;
  };
  const bool all = argc == 1;
  if (all || asked("matrices")) CheckMatrices();
  if (all || asked("decode")) CheckDecode(Depth::kWhole);
  if (all || asked("kv")) {
    CheckKvPrefill();
    CheckKvDecode(Depth::kWhole);
  }
  if (asked("quick")) CheckDecode(Depth::kQuick);
  if (asked("tiny")) CheckDecode(Depth::kTiny);
  if (all || asked("prefill")) {
    CheckPrefill();
    CheckInputs();
  }
  if (all || asked("products")) CheckProducts();
  if (all || asked("batch")) CheckBatch();
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) {
    std::printf("FAIL device: %s\n", cudaGetErrorString(error));
    return 1;
  }
  std::printf("%d of %d cases passed\n", g_cases - g_failures, g_cases);
  return g_failures == 0 ? 0 : 1;
}
