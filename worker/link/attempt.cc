#include "worker/link/attempt.h"

#include "absl/strings/str_cat.h"

namespace uaqf::link {

Attempt FromProto(const v1::AttemptId& id) { return {id.job(), id.chunk(), id.epoch()}; }

v1::AttemptId ToProto(const Attempt& attempt) {
  v1::AttemptId id;
  id.set_job(attempt.job);
  id.set_chunk(attempt.chunk);
  id.set_epoch(attempt.epoch);
  return id;
}

std::string ToString(const Attempt& attempt) {
  return absl::StrCat(attempt.job, " chunk ", attempt.chunk, " epoch ", attempt.epoch);
}

}  // namespace uaqf::link
