// What the weights of a model were before they came to us (ModelInfo.release_format), for as long as the process lives:
// the answer to a ranking needs it after the worker has gone.
#pragma once

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::rpc {

// Thread-safe.
class ReleaseFormats {
 public:
  void Set(const std::string& model, const std::string& format) {
    absl::MutexLock lock(&mutex_);
    formats_[model] = format;
  }
  // Empty: an original release, or not known.
  std::string Of(const std::string& model) const {
    absl::MutexLock lock(&mutex_);
    const auto found = formats_.find(model);
    return found == formats_.end() ? "" : found->second;
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> formats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::rpc
