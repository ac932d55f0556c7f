// The store in one SQLite file: WAL, synchronous FULL, one writer, readers beside it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/job_store.h"

namespace uaqf::store {

struct SqliteOptions {
  // The database file, made when missing; ":memory:" for a store that ends with the process.
  std::string path;
  // How long to wait for another process that holds the database.
  int busy_timeout_ms = 2000;
  // Connections for readers; they are opened when first needed.
  int readers = 4;
  // How long to wait for another coordinator that holds the store: it may be stopping. `on_wait` is called once with
  // its name, before the wait.
  absl::Duration lock_patience = absl::ZeroDuration();
  std::function<void(const std::string& holder)> on_wait = [](const std::string&) {};
};

// Opens the store, brings its schema up to date and checks it. Each refusal names the file and says what to do.
//  FailedPrecondition: another coordinator holds it (a lock on PATH.lock, links of PATH followed), the file has hard
//  links, or its schema is newer than this program. Unavailable: another process has locked the database.
//  PermissionDenied: it, or its folder, cannot be written. NotFound: no such folder. DataLoss: it is not a database, or
//  is damaged; it is never repaired silently.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options);

// Schema version this program writes.
int SqliteSchemaVersion();

}  // namespace uaqf::store
