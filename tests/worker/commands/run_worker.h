// Runs build/bin/uaqf-worker as a person does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace uaqf::test {

struct Outcome {
  // Exit code; 128 and more: the signal that killed it.
  int code = -1;
  std::string out;
  std::string err;

  // `out` as JSON; fails the test when it is none.
  nlohmann::json json() const;
};

// A program that was started and not waited for yet.
class StartedWorker {
 public:
  // Standard output goes to the file `out`, or is kept for Wait.
  explicit StartedWorker(const std::vector<std::string>& arguments, const std::string& out = "");
  // Kills it if it still runs.
  ~StartedWorker();
  StartedWorker(const StartedWorker&) = delete;
  StartedWorker& operator=(const StartedWorker&) = delete;

  // What it has said so far on standard error.
  std::string err() const;
  void Signal(int signal) const;
  Outcome Wait();

 private:
  std::string folder_;
  bool keeps_out_;
  int pid_ = -1;
};

Outcome RunWorker(const std::vector<std::string>& arguments);

}  // namespace uaqf::test
