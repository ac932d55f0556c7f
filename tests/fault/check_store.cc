// uaqf-check-store FILE: asserts the invariants of exactly-once recording over every job of a store whose coordinator
// has stopped. Prints one line per job, then one per violation; ends with 0 when all hold and 1 otherwise.
#include <cstdint>
#include <iostream>
#include <string>

#include "server/core/invariants.h"
#include "server/store/sqlite_store.h"

namespace {

using uaqf::core::JobDump;
using uaqf::core::Outcome;

void Describe(const JobDump& job) {
  std::int64_t records = 0, failures = 0, accepted = 0;
  for (const auto& attempt : job.attempts) {
    if (attempt.outcome != Outcome::kAccepted && attempt.outcome != Outcome::kQuarantined) continue;
    ++accepted;
    for (const auto& record : attempt.records) ++(record.failure ? failures : records);
  }
  std::cout << job.id << ": state " << static_cast<int>(job.state) << ", " << job.chunks.size() << " chunks, "
            << job.attempts.size() << " attempts, " << accepted << " of them final, " << records << " records, "
            << failures << " given up\n";
}

int Check(const std::string& path) {
  const auto store = uaqf::store::OpenSqliteStore({.path = path});
  if (!store.ok()) {
    std::cerr << "uaqf-check-store: " << store.status() << "\n";
    return 2;
  }
  int violations = 0;
  std::int64_t before = 0;
  do {
    const auto page = (*store)->ListJobs(before, 100);
    if (!page.ok()) {
      std::cerr << "uaqf-check-store: " << page.status() << "\n";
      return 2;
    }
    for (const auto& view : page->jobs) {
      const auto dump = (*store)->Dump(view.id);
      if (!dump.ok()) {
        std::cerr << "uaqf-check-store: " << view.id << ": " << dump.status() << "\n";
        return 2;
      }
      Describe(*dump);
      for (const std::string& violation : uaqf::core::CheckInvariants(*dump)) {
        std::cout << view.id << ": " << violation << "\n";
        ++violations;
      }
    }
    before = page->next;
  } while (before != 0);
  std::cout << violations << " violations\n";
  return violations == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: uaqf-check-store FILE\n";
    return 2;
  }
  return Check(argv[1]);
}
