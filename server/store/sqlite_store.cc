#include "server/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/store/file_lock.h"
#include "server/store/mutex.h"
#include "server/store/sqlite_connection.h"
#include "server/store/sqlite_reader.h"
#include "server/store/sqlite_schema.h"
#include "server/store/sqlite_writer.h"

namespace uaqf::store {
namespace {

constexpr char kMemory[] = ":memory:";

// Read connections, opened when first needed; a reader waits while all are taken.
class ReaderPool {
 public:
  explicit ReaderPool(const SqliteOptions& options) : options_(options) {}

  // Throws SQLite::Exception when a connection cannot be opened.
  std::unique_ptr<Connection> Take() {
    {
      MutexLock lock(&mutex_);
      while (idle_.empty() && open_ >= options_.readers) returned_.wait(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
      ++open_;
    }
    try {
      return std::make_unique<Connection>(options_.path, SQLite::OPEN_READONLY | SQLite::OPEN_NOMUTEX,
                                          options_.busy_timeout_ms);
    } catch (...) {
      Return(nullptr);
      throw;
    }
  }

  void Return(std::unique_ptr<Connection> connection) {
    MutexLock lock(&mutex_);
    if (connection == nullptr) {
      --open_;
    } else {
      idle_.push_back(std::move(connection));
    }
    returned_.notify_one();
  }

 private:
  const SqliteOptions options_;
  Mutex mutex_;
  std::condition_variable_any returned_;
  std::vector<std::unique_ptr<Connection>> idle_ ABSL_GUARDED_BY(mutex_);
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
};

class SqliteStore : public Store {
 public:
  SqliteStore(SqliteOptions options, std::unique_ptr<FileLock> lock, std::unique_ptr<Connection> connection)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        connection_(std::move(connection)),
        writer_(connection_.get()),
        readers_(options_) {}

  absl::StatusOr<std::vector<MutationResult>> Commit(absl::Span<const core::Mutation> mutations) override {
    MutexLock lock(&mutex_);
    auto results = Guard(options_.path, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return Apply(mutations); });
    if (!results.ok()) writer_.Forget();
    return results;
  }

  absl::StatusOr<MutationResult> FindRequest(const core::RequestKey& request) override {
    return Read([&](Connection* c) -> absl::StatusOr<MutationResult> { return store::FindRequest(c, request); });
  }
  absl::StatusOr<core::Snapshot> LoadSnapshot() override {
    return Read([&](Connection* c) { return store::LoadSnapshot(c, options_.path); });
  }
  absl::StatusOr<core::JobView> GetJob(const core::JobId& id) override {
    return Read([&](Connection* c) { return store::GetJob(c, id); });
  }
  absl::StatusOr<JobPage> ListJobs(std::int64_t before, std::int32_t limit) override {
    return Read([&](Connection* c) -> absl::StatusOr<JobPage> { return store::ListJobs(c, before, limit); });
  }
  absl::StatusOr<RecordPage> ReadRecords(const core::JobId& id, const RecordCursor& cursor, const RecordFilter& filter,
                                         std::int32_t limit) override {
    return Read([&](Connection* c) { return store::ReadRecords(c, options_.path, id, cursor, filter, limit); });
  }
  absl::StatusOr<core::Measurements> ReadMeasurements(const core::JobId& id) override {
    return Read([&](Connection* c) { return store::ReadMeasurements(c, options_.path, id); });
  }
  absl::StatusOr<core::JobDump> Dump(const core::JobId& id) override {
    return Read([&](Connection* c) { return store::Dump(c, id); });
  }

  absl::StatusOr<PromptSetInfo> PutPromptSet(const PromptSetInfo& info, absl::Span<const PromptItem> items) override {
    return Write([&](Connection* c) -> absl::StatusOr<PromptSetInfo> { return store::PutPromptSet(c, info, items); });
  }
  absl::StatusOr<PromptSetInfo> GetPromptSet(const std::string& digest) override {
    return Read([&](Connection* c) { return store::GetPromptSet(c, digest); });
  }
  absl::StatusOr<PromptSetPage> ListPromptSets(std::int64_t before, std::int32_t limit) override {
    return Read(
        [&](Connection* c) -> absl::StatusOr<PromptSetPage> { return store::ListPromptSets(c, before, limit); });
  }
  absl::StatusOr<std::vector<PromptItem>> ReadPrompts(const std::string& digest, std::int32_t first,
                                                      std::int32_t limit) override {
    return Read([&](Connection* c) { return store::ReadPrompts(c, digest, first, limit); });
  }

  absl::Status CreateProfile(const StoredProfile& profile) override {
    return Write([&](Connection* c) { return store::CreateProfile(c, profile); });
  }
  absl::StatusOr<StoredProfile> GetProfile(const std::string& name) override {
    return Read([&](Connection* c) { return store::GetProfile(c, name); });
  }
  absl::StatusOr<std::vector<StoredProfile>> ListProfiles(const std::string& after, std::int32_t limit) override {
    return Read([&](Connection* c) -> absl::StatusOr<std::vector<StoredProfile>> {
      return store::ListProfiles(c, after, limit);
    });
  }
  absl::Status DeleteProfile(const std::string& name) override {
    return Write([&](Connection* c) -> absl::Status {
      const int changed = Query(c->Prepare("DELETE FROM profile WHERE name = ?1")).Bind(name).Run();
      return changed > 0 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("no profile ", name));
    });
  }

  absl::StatusOr<MutationResult> ImportJob(const core::ImportJob& import) override {
    return Write([&](Connection* c) -> absl::StatusOr<MutationResult> { return store::ImportJob(c, import); });
  }

  absl::Status PutSummary(const SummaryUpload& upload, const std::string& bytes, std::int64_t most_job_bytes) override {
    return Write([&](Connection* c) { return store::PutSummary(c, upload, bytes, most_job_bytes); });
  }
  absl::StatusOr<SummaryInfo> FindSummary(const SummaryKey& key) override {
    return Read([&](Connection* c) { return store::FindSummary(c, key); });
  }
  absl::StatusOr<std::string> ReadSummaryPiece(const SummaryKey& key, std::int32_t piece) override {
    return Read([&](Connection* c) { return store::ReadSummaryPiece(c, options_.path, key, piece); });
  }

 private:
  static absl::Status StatusOf(const absl::Status& status) { return status; }
  template <typename T>
  static absl::Status StatusOf(const absl::StatusOr<T>& result) {
    return result.status();
  }

  absl::StatusOr<std::vector<MutationResult>> Apply(absl::Span<const core::Mutation> mutations)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<MutationResult> results;
    results.reserve(mutations.size());
    SQLite::Transaction transaction(connection_->database(), SQLite::TransactionBehavior::IMMEDIATE);
    writer_.Begin();
    for (const core::Mutation& mutation : mutations) results.push_back(writer_.Apply(mutation));
    writer_.Finish();
    transaction.commit();
    return results;
  }

  // Runs `body` in a write transaction that is rolled back unless it returns OK.
  template <typename Body>
  auto Write(Body body) -> decltype(body(nullptr)) {
    MutexLock lock(&mutex_);
    return Guard(options_.path, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      SQLite::Transaction transaction(connection_->database(), SQLite::TransactionBehavior::IMMEDIATE);
      auto result = body(connection_.get());
      if (StatusOf(result).ok()) transaction.commit();
      return result;
    });
  }

  // Runs `body` on a read connection, in one read transaction. A store in memory has one connection only.
  template <typename Body>
  auto Read(Body body) -> decltype(body(nullptr)) {
    if (options_.path == kMemory) {
      MutexLock lock(&mutex_);
      return Guard(options_.path, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return body(connection_.get()); });
    }
    return Guard(options_.path, [&] {
      std::unique_ptr<Connection> reader = readers_.Take();
      auto result = InTransaction(reader.get(), body);
      // A connection that failed is not used again.
      const bool usable = !absl::IsDataLoss(StatusOf(result)) && !absl::IsUnavailable(StatusOf(result));
      readers_.Return(usable ? std::move(reader) : nullptr);
      return result;
    });
  }

  template <typename Body>
  auto InTransaction(Connection* reader, Body body) -> decltype(body(nullptr)) {
    return Guard(options_.path, [&] {
      SQLite::Transaction transaction(reader->database(), SQLite::TransactionBehavior::DEFERRED);
      return body(reader);
    });
  }

  const SqliteOptions options_;
  const std::unique_ptr<FileLock> lock_;  // goes last: held as long as the database is open
  Mutex mutex_;
  const std::unique_ptr<Connection> connection_ ABSL_PT_GUARDED_BY(mutex_);
  SqliteWriter writer_ ABSL_GUARDED_BY(mutex_);
  ReaderPool readers_;
};

// Settings of the writing connection. FULL: a commit is on the disk when it returns.
void Configure(Connection* connection) {
  SQLite::Database& database = connection->database();
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = FULL");
  database.exec("PRAGMA cache_size = -32768");
  // The end of a job frees its summaries; overwriting them first would hold the coordinator up for nothing.
  database.exec("PRAGMA secure_delete = FAST");
  database.exec("PRAGMA wal_autocheckpoint = 4000");
}

absl::StatusOr<std::unique_ptr<Connection>> OpenConnection(const SqliteOptions& options) {
  return Guard(options.path, [&]() -> absl::StatusOr<std::unique_ptr<Connection>> {
    auto connection = std::make_unique<Connection>(
        options.path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX, options.busy_timeout_ms);
    Configure(connection.get());
    if (absl::Status status = CheckAndMigrate(connection.get(), options.path); !status.ok()) return status;
    return connection;
  });
}

// The one name of the store's file, whatever links led to it: what is locked must not depend on them. Makes the file
// when it is missing, since a name that leads nowhere cannot be followed to its end.
absl::StatusOr<std::string> OneName(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) {
    const int made = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (made < 0) return FileLock::CannotOpen(path, errno);
    const int found = fstat(made, &info);
    close(made);
    if (found != 0) return FileLock::CannotOpen(path, errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the store ", path, " is not a file: name a database file with --store"));
  }
  // SQLite's log lies beside the name it was opened by: under two names of one file there would be two logs.
  if (info.st_nlink > 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("the store ", path, " has ", info.st_nlink,
                     " names (hard links), expected one: stop who uses the others, then remove them or name a copy "
                     "with --store"));
  }
  std::error_code error;
  std::filesystem::path canonical = std::filesystem::canonical(path, error);
  if (error) return FileLock::CannotOpen(path, error.value());
  return canonical.string();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options) {
  std::unique_ptr<FileLock> lock;
  if (options.path != kMemory) {
    auto name = OneName(options.path);
    if (!name.ok()) return name.status();
    auto acquired = FileLock::Acquire(*name + ".lock", options.lock_patience, options.on_wait);
    if (!acquired.ok()) return acquired.status();
    lock = *std::move(acquired);
  }
  auto connection = OpenConnection(options);
  if (!connection.ok()) return connection.status();
  return std::make_unique<SqliteStore>(options, std::move(lock), *std::move(connection));
}

}  // namespace uaqf::store
