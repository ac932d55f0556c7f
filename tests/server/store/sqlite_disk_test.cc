// A disk that is full, and one that cannot be written. Needs the right to mount a small tmpfs; skips without.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cstring>
#include <fstream>

#include "tests/server/store/store_fixture.h"

namespace uaqf::store {
namespace {

using ::testing::HasSubstr;

class SmallDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    if (mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=2m") != 0) {
      GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  absl::StatusOr<std::unique_ptr<Store>> Open() {
    SqliteOptions options;
    options.path = folder_ + "/uaqf.db";
    return OpenSqliteStore(options);
  }

  const std::string folder_ = test::ScratchFolder();
  bool mounted_ = false;
};

// Situation: something else filled the disk; then space is freed.
TEST_F(SmallDisk, KeepsNothingHalfWrittenAndGoesOnWhenThereIsSpaceAgain) {
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  core::CreateJob create = NewJob("j");
  create.prompt_count = 40;
  const core::PlanJob plan = PlanOf(create);
  ASSERT_TRUE(CommitOne(store->get(), create));
  ASSERT_TRUE(CommitOne(store->get(), plan));
  const std::string ballast = folder_ + "/ballast";
  std::ofstream(ballast) << std::string(std::size_t{4} << 20, 'x');

  absl::Status refused;
  std::size_t done = 0;
  for (; done < plan.chunks.size() && refused.ok(); ++done) {
    const core::JobId job = "j";
    std::vector<core::RecordRow> rows = RowsOf(plan.chunks[done]);
    for (core::RecordRow& row : rows) row.blob.append(20'000, 'x');
    std::vector<core::Mutation> mutations;
    mutations.emplace_back(LeaseOf(job, static_cast<std::int32_t>(done), 1));
    mutations.emplace_back(core::AppendRecords{{job, static_cast<std::int32_t>(done), 1}, 0, std::move(rows)});
    mutations.emplace_back(Accepting(job, static_cast<std::int32_t>(done), 1));
    refused = (*store)->Commit(mutations).status();
  }
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("free space on its disk"));
  const std::int32_t failed = static_cast<std::int32_t>(done) - 1;
  EXPECT_EQ((*store)->Dump("j")->chunks[failed].epoch, 0);
  EXPECT_EQ((*store)->Dump("j")->attempts.size(), static_cast<std::size_t>(failed));

  ASSERT_EQ(std::remove(ballast.c_str()), 0);
  Complete(store->get(), "j", plan.chunks[failed]);
}

TEST_F(SmallDisk, SaysThatADiskIsReadOnly) {
  ASSERT_TRUE(Open().ok());
  ASSERT_EQ(mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0);
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr(folder_));
}

}  // namespace
}  // namespace uaqf::store
