// Streams that outlive their reactions: the registry that ends them all, and the rule that each is finished once.
//
// Life of a stream: gRPC owns the call; the reactor keeps itself alive by `self_` until OnDone; everybody else holds a
// shared_ptr and may call it at any time: after the end such calls do nothing.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::rpc {

class EndableStream {
 public:
  virtual ~EndableStream() = default;
  // Ends the stream with this status, soon. Thread-safe, does not block, harmless after the end.
  virtual void End(const absl::Status& status) = 0;
};

// Open streams of a server, for its stop. Thread-safe; no stream is called under the lock.
class StreamRegistry {
 public:
  void Add(const std::shared_ptr<EndableStream>& stream) {
    absl::MutexLock lock(&mutex_);
    streams_.emplace(stream.get(), stream);
  }
  void Remove(const EndableStream* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }
  void EndAll(const absl::Status& status) {
    std::vector<std::shared_ptr<EndableStream>> open;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [key, weak] : streams_) {
        if (auto stream = weak.lock()) open.push_back(std::move(stream));
      }
    }
    for (const auto& stream : open) stream->End(status);
  }
  std::size_t size() const {
    absl::MutexLock lock(&mutex_);
    return streams_.size();
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<const EndableStream*, std::weak_ptr<EndableStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::rpc
