// The schema of the SQLite store, as a list of migrations.
//
// A released migration is never edited; a change appends one. The version of a database is the number of migrations it
// has.
//
//   prompt_set 1--n prompt           content-addressed inputs
//   job 1--n variant                 what was asked; counters of each variant
//       1--n chunk 1--n attempt      the plan; every lease there was
//                       1--n batch   the records as they came, and their figures (record_codec.h)
//                       1--n record  the key of each, unique
//                       0..1 quarantine
//       1--n summary 1--n summary_piece   of FP16, while the job runs
//   profile
// A job that was imported has its figures in `job`, and no chunks.
#pragma once

#include "absl/status/status.h"
#include "server/store/sqlite_connection.h"

namespace uaqf::store {

// Checks the whole file (quick_check), then applies the migrations it lacks. FailedPrecondition: a newer schema.
// DataLoss: the check failed. May throw SQLite::Exception.
[[nodiscard]] absl::Status CheckAndMigrate(Connection* connection, const std::string& path);

}  // namespace uaqf::store
