// Runs `uaqf` as a person or a script would, and says what came out.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace uaqf::client {

struct Outcome {
  int code = -1;  // exit code; 128 + signal when a signal ended it
  std::string out;
  std::string err;  // empty on a terminal, where both are one
};

// One run. The environment is this process's without UAQF_*, NO_COLOR and TERM, and with `environment`.
class ProgramRun {
 public:
  enum class Where { kPipes, kTerminal };
  ProgramRun(const std::vector<std::string>& arguments, Where where = Where::kPipes,
             const std::map<std::string, std::string>& environment = {}, const std::string& input = "");
  // Kills what still runs.
  ~ProgramRun();
  ProgramRun(const ProgramRun&) = delete;
  ProgramRun& operator=(const ProgramRun&) = delete;

  // Reads standard output until it holds `text`; false when it ends before, or after 10 s.
  bool AwaitOutput(const std::string& text);
  void Signal(int signal);
  // Reads to the end and waits for the exit, at most 20 s.
  Outcome Finish();

 private:
  bool ReadSome(int milliseconds);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  Outcome outcome_;
};

// Run and Finish in one, against the coordinator at `server`.
Outcome RunUaqf(const std::string& server, std::vector<std::string> arguments,
            ProgramRun::Where where = ProgramRun::Where::kPipes,
            const std::map<std::string, std::string>& environment = {}, const std::string& input = "");

}  // namespace uaqf::client
