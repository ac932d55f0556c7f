// What is special of SQLite: files, locks, schema versions, damage, threads.
#include "server/store/sqlite_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "server/core/random.h"
#include "server/store/sqlite_connection.h"
#include "tests/server/store/store_fixture.h"

namespace uaqf::store {
namespace {

using ::testing::HasSubstr;

class SqliteStoreTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& path, int busy_ms = 50) {
    SqliteOptions options;
    options.path = path;
    options.busy_timeout_ms = busy_ms;
    return OpenSqliteStore(options);
  }
  // A store with one completed job of many records, closed.
  void Fill() {
    auto store = OpenOrDie(path_);
    core::CreateJob create = NewJob("j");
    create.prompt_count = 200;
    const core::PlanJob plan = PlanOf(create);
    std::vector<core::Mutation> mutations = {create, plan};
    for (const core::Chunk& chunk : plan.chunks) {
      mutations.push_back(LeaseOf("j", chunk.index, 1));
      mutations.push_back(core::AppendRecords{{"j", chunk.index, 1}, 0, RowsOf(chunk)});
      mutations.push_back(Accepting("j", chunk.index, 1));
    }
    EXPECT_EQ(CommitAll(store.get(), mutations), std::vector<Applied>(mutations.size(), Applied::kYes));
  }
  void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  const std::string folder_ = test::ScratchFolder();
  const std::string path_ = folder_ + "/uaqf.db";
};

TEST_F(SqliteStoreTest, KeepsEverythingAcrossARestart) {
  Fill();
  auto store = OpenOrDie(path_);
  EXPECT_EQ(store->ReadMeasurements("j")->timings.item.size(), 2u * 2u * 200u);
  EXPECT_EQ(store->ReadRecords("j", {}, {}, 10000)->records.size(), 2u * (3u * 200u + 7u));
}

TEST_F(SqliteStoreTest, SyncsEveryCommitToTheDisk) {
  auto store = OpenOrDie(path_);
  SQLite::Database other(path_, SQLite::OPEN_READONLY);
  EXPECT_EQ(other.execAndGet("PRAGMA journal_mode").getString(), "wal");
}

TEST_F(SqliteStoreTest, RefusesASecondCoordinator) {
  auto first = OpenOrDie(path_);
  const auto second = Open(path_);
  ASSERT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another coordinator on the same store"));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(getpid())));
  first.reset();
  EXPECT_TRUE(Open(path_).ok());
}

// Situation: the second coordinator is given another name of the same file.
TEST_F(SqliteStoreTest, RefusesASecondCoordinatorThroughALink) {
  const std::string link = folder_ + "/link.db";
  // It leads nowhere yet: the store is made through it.
  ASSERT_EQ(symlink("uaqf.db", link.c_str()), 0);
  for (const auto& [one, other] : {std::pair(link, path_), std::pair(path_, link)}) {
    auto first = OpenOrDie(one);
    const auto second = Open(other);
    ASSERT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("another coordinator on the same store"));
  }
  const std::string folder_link = test::ScratchFolder() + "/folder";
  ASSERT_EQ(symlink(folder_.c_str(), folder_link.c_str()), 0);
  auto first = OpenOrDie(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(folder_link + "/uaqf.db").status()));
}

TEST_F(SqliteStoreTest, RefusesAFileWithTwoNames) {
  Fill();
  const std::string other = folder_ + "/other.db";
  ASSERT_EQ(link(path_.c_str(), other.c_str()), 0);
  for (const std::string& name : {path_, other}) {
    const auto store = Open(name);
    ASSERT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
    EXPECT_THAT(std::string(store.status().message()), HasSubstr("has 2 names (hard links), expected one"));
  }
  ASSERT_EQ(unlink(other.c_str()), 0);
  EXPECT_TRUE(Open(path_).ok());
}

// Situation: a coordinator was killed; its lock must not outlive it.
TEST_F(SqliteStoreTest, OpensAfterTheOtherProcessDied) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto store = Open(path_);
    const char ok = store.ok() ? 'y' : 'n';
    if (write(ready[1], &ok, 1) != 1) _exit(1);
    pause();
  }
  char ok = 0;
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  ASSERT_EQ(ok, 'y');
  EXPECT_FALSE(Open(path_).ok());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  EXPECT_TRUE(Open(path_).ok());
}

TEST_F(SqliteStoreTest, RefusesALockedDatabase) {
  Fill();
  SQLite::Database other(path_, SQLite::OPEN_READWRITE);
  other.exec("PRAGMA locking_mode = EXCLUSIVE");
  other.exec("BEGIN EXCLUSIVE");
  const auto store = Open(path_);
  ASSERT_TRUE(absl::IsUnavailable(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr(path_));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("another process holds it"));
}

// Situation: the coordinator before this one was told to stop and has not quite ended.
TEST_F(SqliteStoreTest, WaitsForTheOtherCoordinatorToLeave) {
  std::unique_ptr<Store> other = OpenOrDie(path_);
  SqliteOptions options;
  options.path = path_;
  options.lock_patience = absl::Seconds(60);
  std::string holder;
  options.on_wait = [&](const std::string& name) {
    holder = name;
    other.reset();
  };
  EXPECT_TRUE(OpenSqliteStore(options).ok());
  EXPECT_EQ(holder, absl::StrCat("process ", getpid()));
}

TEST_F(SqliteStoreTest, RefusesANewerSchema) {
  Fill();
  { SQLite::Database(path_, SQLite::OPEN_READWRITE).exec("UPDATE schema_version SET version = 99"); }
  const auto store = Open(path_);
  ASSERT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("has schema version 99, this program knows up to 12"));
}

TEST_F(SqliteStoreTest, BringsAStoreOfTheFirstSchemaUpToDate) {
  Fill();
  {
    SQLite::Database first(path_, SQLite::OPEN_READWRITE);
    first.exec(
        "ALTER TABLE job DROP COLUMN release_format; ALTER TABLE chunk DROP COLUMN variant_group; "
        "ALTER TABLE prompt_set DROP COLUMN sources; "
        "ALTER TABLE job DROP COLUMN task_items; ALTER TABLE job DROP COLUMN longest_task_tokens; "
        "ALTER TABLE attempt DROP COLUMN variant_digest; DROP TABLE configuration; "
        "ALTER TABLE attempt DROP COLUMN wall_ns; UPDATE job SET spec = json_remove(spec, '$.shuffled'); "
        "ALTER TABLE job DROP COLUMN articles; ALTER TABLE job DROP COLUMN imported; "
        "ALTER TABLE job DROP COLUMN parameters; "
        "ALTER TABLE chunk DROP COLUMN summary_k; DROP TABLE summary; DROP TABLE summary_piece; "
        "UPDATE schema_version SET version = 1");
  }
  auto store = OpenOrDie(path_);
  EXPECT_EQ(store->GetJob("j")->release_format, "");
  EXPECT_EQ(store->GetJob("j")->parameters, 0) << "not known";
  EXPECT_FALSE(store->GetJob("j")->imported.has_value());
  EXPECT_FALSE(store->GetJob("j")->spec.shuffled) << "its chunks are of items in the order of their set";
  EXPECT_EQ(store->ReadRecords("j", {}, {}, 1)->records[0].variant_digest, "");
  EXPECT_TRUE(store->ReadMeasurements("j")->variants[0].configurations.empty());
  EXPECT_EQ(store->ReadRecords("j", {}, {}, 10000)->records.size(), 2u * (3u * 200u + 7u));
}

TEST_F(SqliteStoreTest, RefusesWhatIsNotADatabase) {
  Write(path_, std::string(10000, 'x'));
  EXPECT_TRUE(absl::IsDataLoss(Open(path_).status()));
  { SQLite::Database(folder_ + "/other.db", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE t(a)"); }
  const auto store = Open(folder_ + "/other.db");
  EXPECT_TRUE(absl::IsDataLoss(store.status()));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("a database of something else"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(folder_).status()));
}

TEST_F(SqliteStoreTest, SaysWhatIsWrongWithThePath) {
  EXPECT_TRUE(absl::IsNotFound(Open(folder_ + "/no/such/folder.db").status()));
  // sysfs refuses new files even to root, as a read-only disk does.
  const absl::Status denied = Open("/sys/kernel/uaqf.db").status();
  EXPECT_TRUE(absl::IsPermissionDenied(denied)) << denied;
}

// Situation: bytes of the closed database flip, one place at a time.
TEST_F(SqliteStoreTest, NeverServesAWrongRecordFromADamagedFile) {
  Fill();
  const std::string good = test::ReadFile(path_);
  const core::Measurements truth = *OpenOrDie(path_)->ReadMeasurements("j");
  core::Random random(7);
  int refused = 0;
  for (int i = 0; i < 150; ++i) {
    std::string bad = good;
    const std::size_t at = random.Below(bad.size());
    for (std::size_t k = at; k < std::min(bad.size(), at + 1 + random.Below(32)); ++k)
      bad[k] ^= static_cast<char>(1 + random.Below(255));
    Write(path_, bad);
    std::remove((path_ + "-wal").c_str());
    const auto store = Open(path_);
    if (!store.ok()) {
      ++refused;
      EXPECT_TRUE(absl::IsDataLoss(store.status()) || absl::IsFailedPrecondition(store.status()) ||
                  absl::IsUnavailable(store.status()))
          << store.status();
      continue;
    }
    const auto measured = (*store)->ReadMeasurements("j");
    if (!measured.ok()) {
      ++refused;
      continue;
    }
    // Rows may be missing only when their chunk is not accepted any more; none may be wrong.
    for (std::size_t k = 0; k < measured->timings.item.size(); ++k) {
      ASSERT_EQ(measured->timings.latency_ns[k], 1'000'000 + measured->timings.item[k]) << "byte " << at;
      ASSERT_EQ(measured->timings.decode_ns[k], 3000 + measured->timings.item[k]) << "byte " << at;
    }
    const auto page = (*store)->ReadRecords("j", {}, {}, 10000);
    if (!page.ok()) continue;
    for (const StoredRecord& record : page->records) {
      ASSERT_EQ(record.blob, TimingRow(record.item, record.repeat).blob) << "byte " << at;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(SqliteStoreTest, RefusesATruncatedFile) {
  Fill();
  const std::string good = test::ReadFile(path_);
  for (std::size_t size = 4096; size < good.size(); size += good.size() / 37) {
    Write(path_, good.substr(0, size));
    const auto store = Open(path_);
    EXPECT_TRUE(absl::IsDataLoss(store.status())) << size << " of " << good.size() << ": " << store.status();
  }
}

// Situation: the machine lost power, and the end of the WAL is torn. What was committed before it must be whole.
TEST_F(SqliteStoreTest, ReadsAPrefixOfItsHistoryFromATornLog) {
  const std::string copy = folder_ + "/copy.db";
  {
    auto store = OpenOrDie(path_);
    const core::CreateJob create = NewJob("j");
    const core::PlanJob plan = PlanOf(create);
    ASSERT_TRUE(CommitOne(store.get(), create));
    ASSERT_TRUE(CommitOne(store.get(), plan));
    for (const core::Chunk& chunk : plan.chunks) Complete(store.get(), "j", chunk);
    Write(copy, test::ReadFile(path_));
    Write(copy + "-wal", test::ReadFile(path_ + "-wal"));
  }
  const std::string log = test::ReadFile(copy + "-wal");
  const std::string base = test::ReadFile(copy);
  core::Random random(3);
  for (int i = 0; i < 60; ++i) {
    Write(copy, base);
    std::remove((copy + "-shm").c_str());
    std::string torn = log.substr(0, random.Below(log.size()));
    if (i % 2 == 1 && !torn.empty()) torn[random.Below(torn.size())] ^= 0x40;
    Write(copy + "-wal", torn);
    const auto store = Open(copy);
    if (!store.ok()) continue;
    const auto dump = (*store)->Dump("j");
    if (absl::IsNotFound(dump.status())) continue;
    ASSERT_TRUE(dump.ok()) << dump.status();
    for (const core::AttemptDump& attempt : dump->attempts) {
      EXPECT_EQ(attempt.outcome, core::Outcome::kAccepted);
      EXPECT_EQ(attempt.records.size(), static_cast<std::size_t>(dump->chunks[attempt.chunk].count));
    }
  }
}

// Situation: readers in other threads while the loop commits. Run under ThreadSanitizer too.
TEST_F(SqliteStoreTest, LetsReadersSeeWholeCommitsWhileItWrites) {
  for (const std::string& path : {path_, std::string(":memory:")}) {
    auto store = OpenOrDie(path);
    core::CreateJob create = NewJob("j");
    create.prompt_count = 12;
    const core::PlanJob plan = PlanOf(create);
    ASSERT_TRUE(CommitOne(store.get(), create));
    ASSERT_TRUE(CommitOne(store.get(), plan));
    std::atomic<bool> done{false};
    std::vector<std::thread> readers;
    for (int t = 0; t < 6; ++t) {
      readers.emplace_back([&] {
        while (!done) {
          const auto measured = store->ReadMeasurements("j");
          ASSERT_TRUE(measured.ok()) << measured.status();
          EXPECT_EQ(measured->timings.item.size() % 2, 0u);
          EXPECT_TRUE(store->GetJob("j").ok());
          EXPECT_TRUE(store->ReadRecords("j", {}, {}, 10).ok());
          EXPECT_TRUE(store->ListProfiles("", 10).ok());
        }
      });
    }
    for (const core::Chunk& chunk : plan.chunks) {
      Complete(store.get(), "j", chunk);
      EXPECT_TRUE(store->CreateProfile({absl::StrCat("p", chunk.index), "x"}).ok());
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
  }
}

}  // namespace
}  // namespace uaqf::store
