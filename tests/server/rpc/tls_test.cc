// TLS for clients, mTLS with a role for workers.
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "proto/wire/channel.h"
#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"
#include "tests/support/test_data.h"

namespace uaqf::test {
namespace {

std::string MakeAuthority() {
  const std::string folder = ScratchFolder() + "/ca";
  const std::string command = SourceFile("deploy/make-dev-ca.sh") + " " + folder + " >/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
  return folder;
}

const std::string& Ours() {
  static const std::string folder = MakeAuthority();
  return folder;
}

wire::Security Tls(const std::string& folder, const std::string& who) {
  return {{folder + "/" + who + ".pem", folder + "/" + who + "-key.pem", folder + "/ca.pem"}, false};
}

rpc::ServerOptions Options() {
  rpc::ServerOptions options = TestServer::Options();
  options.security = Tls(Ours(), "server");
  return options;
}

// What a worker with these files is told; OK when it got an answer.
grpc::Status Connect(TestServer& server, const wire::Security& security) {
  auto channel = wire::Dial(server.server().worker_listen(), security);
  EXPECT_TRUE(channel.ok()) << channel.status();
  FakeWorker worker(*channel, "w");
  const bool answered = worker.Report().has_value();
  const grpc::Status status = worker.FinishSession();
  EXPECT_EQ(answered, status.ok()) << status.error_message();
  return status;
}

TEST(Tls, ServesAClientThatKnowsTheAuthority) {
  TestServer server(Options());
  auto channel = wire::Dial(server.server().listen(), {{"", "", Ours() + "/ca.pem"}, false});
  ASSERT_TRUE(channel.ok());
  auto stub = v1::EvaluationService::NewStub(*channel);
  v1::ListJobsResponse jobs;
  EXPECT_TRUE(stub->ListJobs(Within30s().get(), v1::ListJobsRequest(), &jobs).ok());
}

TEST(Tls, FailsForAClientThatKnowsAnotherAuthorityOrNone) {
  TestServer server(Options());
  v1::ListJobsResponse jobs;
  auto other = wire::Dial(server.server().listen(), {{"", "", MakeAuthority() + "/ca.pem"}, false});
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(v1::EvaluationService::NewStub(*other)->ListJobs(Within30s().get(), v1::ListJobsRequest(), &jobs).ok());
  auto plain = grpc::CreateChannel(server.server().listen(), grpc::InsecureChannelCredentials());
  EXPECT_FALSE(v1::EvaluationService::NewStub(plain)->ListJobs(Within30s().get(), v1::ListJobsRequest(), &jobs).ok());
}

TEST(MutualTls, LetsAWorkerIn) {
  TestServer server(Options());
  EXPECT_TRUE(Connect(server, Tls(Ours(), "worker")).ok());
}

TEST(MutualTls, RefusesAWorkerWithoutACertificate) {
  TestServer server(Options());
  EXPECT_FALSE(Connect(server, {{"", "", Ours() + "/ca.pem"}, false}).ok());
}

TEST(MutualTls, RefusesAWorkerOfAnotherAuthority) {
  TestServer server(Options());
  const std::string other = MakeAuthority();
  wire::Security security = Tls(other, "worker");
  security.tls.authority = Ours() + "/ca.pem";
  EXPECT_FALSE(Connect(server, security).ok());
}

TEST(MutualTls, RefusesACertificateOfAnotherRoleBeforeTheHandler) {
  TestServer server(Options());
  const grpc::Status status = Connect(server, Tls(Ours(), "client"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
  const std::string text = server.server().metrics().Text();
  EXPECT_NE(text.find("uaqf_rpc_refusals_total{reason=\"role\"} 1"), std::string::npos);
  EXPECT_EQ(text.find("method=\"WorkerService/Session\""), std::string::npos) << "the handler was not entered";
}

}  // namespace
}  // namespace uaqf::test
