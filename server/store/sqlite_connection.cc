#include "server/store/sqlite_connection.h"

#include <sqlite3.h>

#include <limits>

#include "absl/strings/str_cat.h"

namespace uaqf::store {

double Query::Real(int column) const {
  return statement_->isColumnNull(column) ? std::numeric_limits<double>::quiet_NaN()
                                          : statement_->getColumn(column).getDouble();
}

SQLite::Statement* Connection::Prepare(const char* sql) {
  std::unique_ptr<SQLite::Statement>& statement = statements_[sql];
  if (statement == nullptr) statement = std::make_unique<SQLite::Statement>(database_, sql);
  return statement.get();
}

absl::Status Damaged(const std::string& path, const std::string& what) {
  return absl::DataLossError(absl::StrCat("the store ", path, " is damaged (", what,
                                          "): restore it from a backup, or move it away to begin with an empty one"));
}

absl::Status ToStatus(const SQLite::Exception& error, const std::string& path) {
  const std::string what = absl::StrCat("the store ", path, ": ", error.what());
  switch (error.getErrorCode() & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat(what, ": free space on its disk; nothing was half written"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat(what, ": another process holds it; close that one, or wait"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Damaged(path, error.what());
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return absl::PermissionDeniedError(
          absl::StrCat(what, ": the file and its folder must be writable, and so must the disk"));
    case SQLITE_CONSTRAINT:
      return absl::InternalError(what);
    default:
      return absl::UnavailableError(what);
  }
}

}  // namespace uaqf::store
