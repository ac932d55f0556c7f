#include "tests/client/run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

#include "tests/support/test_data.h"

extern char** environ;

namespace uaqf::client {
namespace {

std::vector<std::string> Environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    if (variable.rfind("UAQF_", 0) == 0 || variable.rfind("NO_COLOR", 0) == 0 || variable.rfind("TERM=", 0) == 0)
      continue;
    variables.push_back(variable);
  }
  for (const auto& [name, value] : extra) variables.push_back(name + "=" + value);
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The reading end and the end that becomes the program's output.
std::array<int, 2> Ends(ProgramRun::Where where) {
  std::array<int, 2> ends = {-1, -1};
  if (where == ProgramRun::Where::kPipes) {
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    return ends;
  }
  ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  EXPECT_EQ(grantpt(ends[0]), 0);
  EXPECT_EQ(unlockpt(ends[0]), 0);
  ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
  return ends;
}

}  // namespace

ProgramRun::ProgramRun(const std::vector<std::string>& arguments, Where where,
                       const std::map<std::string, std::string>& environment, const std::string& input) {
  const auto out = Ends(where);
  const auto err = where == Where::kPipes ? Ends(where) : std::array<int, 2>{-1, out[1]};
  const auto in = Ends(Where::kPipes);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  std::vector<std::string> words = {test::Program("uaqf")};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = Environment(environment);
  EXPECT_EQ(posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, Pointers(words).data(), Pointers(variables).data()),
            0)
      << words[0];
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(write(in[1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
  close(in[0]);
  close(in[1]);
  close(out[1]);
  if (where == Where::kPipes) close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

ProgramRun::~ProgramRun() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (out_ >= 0) close(out_);
  if (err_ >= 0) close(err_);
}

bool ProgramRun::ReadSome(int milliseconds) {
  std::array<pollfd, 2> polled = {pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
  if (poll(polled.data(), polled.size(), milliseconds) <= 0) return false;
  std::array<char, 4096> buffer;
  const auto drain = [&](int* descriptor, short events, std::string* into) {
    if (*descriptor < 0 || events == 0) return;
    const ssize_t count = read(*descriptor, buffer.data(), buffer.size());
    if (count > 0) {
      into->append(buffer.data(), static_cast<std::size_t>(count));
    } else {
      // A terminal's end is an error, a pipe's is 0.
      close(*descriptor);
      *descriptor = -1;
    }
  };
  drain(&out_, polled[0].revents, &outcome_.out);
  drain(&err_, polled[1].revents, &outcome_.err);
  return true;
}

bool ProgramRun::AwaitOutput(const std::string& text) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (outcome_.out.find(text) == std::string::npos) {
    if (out_ < 0 || std::chrono::steady_clock::now() > limit) return false;
    ReadSome(100);
  }
  return true;
}

void ProgramRun::Signal(int signal) { kill(pid_, signal); }

Outcome ProgramRun::Finish() {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while ((out_ >= 0 || err_ >= 0) && std::chrono::steady_clock::now() < limit) ReadSome(100);
  if (out_ >= 0 || err_ >= 0) {
    ADD_FAILURE() << "uaqf still runs; so far:\n" << outcome_.out << outcome_.err;
    kill(pid_, SIGKILL);
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  outcome_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome_;
}

Outcome RunUaqf(const std::string& server, std::vector<std::string> arguments, ProgramRun::Where where,
                const std::map<std::string, std::string>& environment, const std::string& input) {
  auto variables = environment;
  variables["UAQF_SERVER"] = server;
  if (where == ProgramRun::Where::kTerminal && variables.count("TERM") == 0) variables["TERM"] = "xterm";
  return ProgramRun(arguments, where, variables, input).Finish();
}

}  // namespace uaqf::client
