// Where tests find files they do not own.
//
// Shared data (models, corpora, oracles) lies in $UAQF_DATA, or in ../shared/data beside the tree. It is never part
// of the project: a test that needs it begins with UAQF_NEED_DATA(path), which skips with the reason where the file is
// missing, and fails where UAQF_REQUIRE_DATA=1 says that it must be there.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace uaqf::test {

// Full path of `relative` in the shared data.
std::string SharedData(const std::string& relative);
// Full path of `relative` in the source tree.
std::string SourceFile(const std::string& relative);
// Full path of a built program, e.g. "uaqf-server".
std::string Program(const std::string& name);
// Full path of the default model that deploy/dependencies.sh installed.
std::string DefaultModel();
// A fresh empty folder that is removed when the process ends.
std::string ScratchFolder();
// The whole file as bytes; fails the test when it cannot be read.
std::string ReadFile(const std::string& path);

bool Exists(const std::string& path);
bool DataRequired();

}  // namespace uaqf::test

#define UAQF_NEED_FILE(path)                                                              \
  if (!::uaqf::test::Exists(path)) {                                                      \
    if (::uaqf::test::DataRequired()) FAIL() << "UAQF_REQUIRE_DATA=1, and no " << (path); \
    GTEST_SKIP() << "no " << (path) << "; set UAQF_DATA to the shared data";              \
  }

#define UAQF_NEED_DATA(relative) UAQF_NEED_FILE(::uaqf::test::SharedData(relative))
