#include "proto/wire/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "proto/wire/status.h"
#include "tests/support/test_data.h"

namespace uaqf::wire {
namespace {

// Certificates of a fresh development authority.
const std::string& Authority() {
  static const std::string folder = [] {
    const std::string made = test::ScratchFolder() + "/ca";
    const std::string command = test::SourceFile("deploy/make-dev-ca.sh") + " " + made + " example.org >/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return made;
  }();
  return folder;
}

TlsFiles Files(const std::string& who) {
  return {Authority() + "/" + who + ".pem", Authority() + "/" + who + "-key.pem", Authority() + "/ca.pem"};
}

TEST(Loopback, IsThisMachineOnly) {
  for (const char* address : {"127.0.0.1:0", "127.8.9.1:7600", "localhost:7600", "[::1]:7600", "unix:/run/uaqf"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address : {"0.0.0.0:7600", "10.0.0.1:7600", "example.org:7600", "127.0.0.1.example.org:7600",
                              "[::]:7600", "localhost.example.org:1", "", ":7600", "127.1:7600"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(ServerCredentials, NeedTlsOrAPersonsWordForPlainText) {
  EXPECT_EQ(Reason(ServerCredentials({}, "127.0.0.1:0", Peer::kClient).status()), "TLS_OR_INSECURE");
  EXPECT_EQ(Reason(ServerCredentials({Files("server"), true}, "127.0.0.1:0", Peer::kClient).status()),
            "TLS_OR_INSECURE");
  EXPECT_TRUE(ServerCredentials({{}, true}, "127.0.0.1:0", Peer::kWorker).ok());
  EXPECT_TRUE(ServerCredentials({Files("server"), false}, "0.0.0.0:0", Peer::kWorker).ok());
}

TEST(ServerCredentials, RefusePlainTextOffLoopback) {
  const absl::Status status = ServerCredentials({{}, true}, "0.0.0.0:7600", Peer::kClient).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reason(status), "INSECURE_OFF_LOOPBACK");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("0.0.0.0:7600"));
}

TEST(ServerCredentials, NameTheFileThatIsMissingOrWrong) {
  TlsFiles files = Files("server");
  files.key = Authority() + "/nothing.pem";
  absl::Status status = ServerCredentials({files, false}, "127.0.0.1:0", Peer::kClient).status();
  EXPECT_EQ(Reason(status), "TLS_FILE_UNREADABLE");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("nothing.pem"));

  files.key.clear();
  EXPECT_EQ(Reason(ServerCredentials({files, false}, "127.0.0.1:0", Peer::kClient).status()), "TLS_INCOMPLETE");

  files.key = Authority() + "/client-key.pem";
  EXPECT_EQ(Reason(ServerCredentials({files, false}, "127.0.0.1:0", Peer::kClient).status()), "TLS_KEY_MISMATCH");

  files.key = Authority() + "/garbage.pem";
  std::ofstream(files.key) << "no key";
  EXPECT_EQ(Reason(ServerCredentials({files, false}, "127.0.0.1:0", Peer::kClient).status()), "TLS_FILE_INVALID");
}

TEST(ChannelCredentials, ArePlainOnLoopbackOnly) {
  EXPECT_TRUE(ChannelCredentials({}, "127.0.0.1:7600").ok());
  EXPECT_EQ(Reason(ChannelCredentials({}, "example.org:7600").status()), "INSECURE_OFF_LOOPBACK");
  EXPECT_EQ(Reason(ChannelCredentials({{}, true}, "example.org:7600").status()), "INSECURE_OFF_LOOPBACK");
}

TEST(ChannelCredentials, NeedTheAuthorityAloneForAClient) {
  EXPECT_TRUE(ChannelCredentials({{"", "", Authority() + "/ca.pem"}, false}, "example.org:7600").ok());
  EXPECT_TRUE(ChannelCredentials({Files("worker"), false}, "example.org:7601").ok());
  EXPECT_EQ(
      Reason(ChannelCredentials({{Authority() + "/worker.pem", "", Authority() + "/ca.pem"}, false}, "example.org:7601")
                 .status()),
      "TLS_INCOMPLETE");
}

TEST(Credentials, SayThatAnAuthorityHoldsNoCertificate) {
  TlsFiles files = Files("server");
  const std::string garbage = Authority() + "/no-authority.pem";
  std::ofstream(garbage) << "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n";
  for (const std::string& authority : {garbage, Authority() + "/ca-key.pem"}) {
    files.authority = authority;
    for (const absl::Status& status : {ServerCredentials({files, false}, "127.0.0.1:0", Peer::kClient).status(),
                                       ChannelCredentials({{"", "", authority}, false}, "127.0.0.1:0").status()}) {
      EXPECT_EQ(Reason(status), "TLS_FILE_INVALID");
      EXPECT_THAT(std::string(status.message()),
                  testing::AllOf(testing::HasSubstr(authority), testing::HasSubstr("holds no certificate")));
    }
  }
}

// Situation: a name that no certificate can have.
TEST(DevelopmentAuthority, IsMadeWholeOrNotAtAll) {
  const std::string scratch = test::ScratchFolder();
  const std::string script = test::SourceFile("deploy/make-dev-ca.sh") + " " + scratch + "/ca";
  EXPECT_NE(std::system((script + " 'example.org,nonsense' >/dev/null 2>" + scratch + "/err").c_str()), 0);
  const std::string said = test::ReadFile(scratch + "/err");
  EXPECT_THAT(said, testing::HasSubstr("error: cannot make the certificate of the server"));
  EXPECT_THAT(said, testing::HasSubstr("nonsense")) << "what openssl says";
  EXPECT_FALSE(std::filesystem::exists(scratch + "/ca")) << "nothing is left behind";
  EXPECT_EQ(std::system((script + " example.org >/dev/null").c_str()), 0);
  EXPECT_TRUE(std::filesystem::exists(scratch + "/ca/client-key.pem"));
}

}  // namespace
}  // namespace uaqf::wire
