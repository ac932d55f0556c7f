// One connection to the database: prepared statements that are kept, and exceptions turned into statuses at the edge.
//
// SQLiteCpp throws. Everything below OpenSqliteStore's methods may throw SQLite::Exception; the methods themselves run
// in Guard, which is the only place that catches.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

namespace uaqf::store {

// A blob to bind; borrowed until the statement has run.
struct Blob {
  const std::string& bytes;
};

// One run of a prepared statement. Resets it when it goes, so that it can run again.
class Query {
 public:
  explicit Query(SQLite::Statement* statement) : statement_(statement) {}
  ~Query() { statement_->tryReset(); }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // Binds ?1, ?2, ... Strings and blobs are borrowed until the query goes.
  template <typename... Values>
  Query& Bind(const Values&... values) {
    int index = 0;
    (BindOne(++index, values), ...);
    return *this;
  }
  // True while there is a row.
  bool Step() { return statement_->executeStep(); }
  // Runs a statement without result. Returns the number of rows it changed.
  int Run() { return statement_->exec(); }

  std::int64_t Int(int column) const { return statement_->getColumn(column).getInt64(); }
  std::int32_t Int32(int column) const { return static_cast<std::int32_t>(Int(column)); }
  // NULL is how SQLite keeps a NaN.
  double Real(int column) const;
  std::string Text(int column) const { return statement_->getColumn(column).getString(); }
  bool IsNull(int column) const { return statement_->isColumnNull(column); }

 private:
  void BindOne(int index, std::int32_t value) { statement_->bind(index, value); }
  void BindOne(int index, std::int64_t value) { statement_->bind(index, value); }
  void BindOne(int index, bool value) { statement_->bind(index, value ? 1 : 0); }
  void BindOne(int index, double value) { statement_->bind(index, value); }
  void BindOne(int index, const std::string& value) { statement_->bindNoCopy(index, value); }
  void BindOne(int index, const Blob& value) {
    statement_->bindNoCopy(index, value.bytes.data(), static_cast<int>(value.bytes.size()));
  }
  void BindOne(int index, std::nullptr_t) { statement_->bind(index); }

  SQLite::Statement* const statement_;
};

// Not thread-safe: one thread at a time.
class Connection {
 public:
  // Throws SQLite::Exception.
  Connection(const std::string& path, int flags, int busy_timeout_ms) : database_(path, flags, busy_timeout_ms) {}

  // The prepared statement of `sql`, which must be a literal: it is known by its address. One use at a time.
  SQLite::Statement* Prepare(const char* sql);
  SQLite::Database& database() { return database_; }

 private:
  SQLite::Database database_;
  absl::flat_hash_map<const char*, std::unique_ptr<SQLite::Statement>> statements_;
};

// The error as a status that names the file and says what to do.
absl::Status ToStatus(const SQLite::Exception& error, const std::string& path);
absl::Status Damaged(const std::string& path, const std::string& what);

// Runs `body`, which returns a Status or a StatusOr, and turns what SQLite throws into a status.
template <typename Body>
auto Guard(const std::string& path, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const SQLite::Exception& error) {
    return ToStatus(error, path);
  } catch (const std::exception& error) {
    return Damaged(path, error.what());
  }
}

}  // namespace uaqf::store
