// `uaqf` as it is run, against a fake coordinator.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/client/fake_coordinator.h"
#include "tests/client/run_program.h"
#include "tests/support/test_data.h"

namespace uaqf::client {

class Cli : public ::testing::Test {
 protected:
  Outcome Uaqf(std::vector<std::string> arguments, ProgramRun::Where where = ProgramRun::Where::kPipes,
               const std::map<std::string, std::string>& environment = {}, const std::string& input = "") {
    return RunUaqf(coordinator_.address(), std::move(arguments), where, environment, input);
  }
  std::string File(const std::string& name, const std::string& content) {
    const std::string path = test::ScratchFolder() + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string TwoPrompts() {
    return File("two.jsonl",
                "{\"id\": \"a\", \"category\": \"math\", \"text\": \"x\"}\n"
                "{\"id\": \"b\", \"category\": \"chat\", \"text\": \"y\"}\n");
  }

  FakeCoordinator coordinator_;
};

}  // namespace uaqf::client
