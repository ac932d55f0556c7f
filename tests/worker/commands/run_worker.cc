#include "tests/worker/commands/run_worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "tests/support/test_data.h"

extern char** environ;

namespace uaqf::test {

nlohmann::json Outcome::json() const {
  nlohmann::json parsed = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(parsed.is_discarded()) << "not JSON: " << out << "\nstandard error: " << err;
  return parsed.is_discarded() ? nlohmann::json::object() : parsed;
}

StartedWorker::StartedWorker(const std::vector<std::string>& arguments, const std::string& out)
    : folder_(ScratchFolder()), keeps_out_(out.empty()) {
  const std::string program = Program("uaqf-worker");
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 1, (out.empty() ? folder_ + "/out" : out).c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (folder_ + "/err").c_str(), flags, 0600);
  EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ), 0) << program;
  posix_spawn_file_actions_destroy(&actions);
}

StartedWorker::~StartedWorker() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string StartedWorker::err() const { return ReadFile(folder_ + "/err"); }

void StartedWorker::Signal(int signal) const { kill(pid_, signal); }

Outcome StartedWorker::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          keeps_out_ ? ReadFile(folder_ + "/out") : "", ReadFile(folder_ + "/err")};
}

Outcome RunWorker(const std::vector<std::string>& arguments) { return StartedWorker(arguments).Wait(); }

}  // namespace uaqf::test
