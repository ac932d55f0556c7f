#include "server/rpc/executor.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

namespace uaqf::rpc {

Executor::Executor(int threads, std::size_t capacity) : capacity_(capacity) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Executor::~Executor() { Stop(); }

bool Executor::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || tasks_.size() >= capacity_) return false;
  tasks_.push_back(std::move(task));
  return true;
}

void Executor::Stop() {
  std::deque<Task> unrun;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    unrun.swap(tasks_);
  }
  // Destroyed here, outside the lock: a task may answer its call as it goes.
  unrun.clear();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Executor::Run() {
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Executor::HasWork));
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    try {
      task();
    } catch (const std::exception& error) {
      spdlog::error("a task of the executor failed: {}", error.what());
    }
  }
}

}  // namespace uaqf::rpc
