// A chunk attempt as a key.
#pragma once

#include <uaqf/v1/worker_service.pb.h>

#include <compare>
#include <cstdint>
#include <string>

namespace uaqf::link {

struct Attempt {
  std::string job;
  int32_t chunk = 0;
  int64_t epoch = 0;

  friend auto operator<=>(const Attempt&, const Attempt&) = default;
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

Attempt FromProto(const v1::AttemptId& id);
v1::AttemptId ToProto(const Attempt& attempt);
// "jobs/k7f2m9 chunk 12 epoch 3".
std::string ToString(const Attempt& attempt);

}  // namespace uaqf::link
