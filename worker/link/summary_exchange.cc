#include "worker/link/summary_exchange.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/wire/digest.h"
#include "proto/wire/status.h"
#include "spdlog/spdlog.h"

namespace uaqf::link {
namespace {

constexpr size_t kPieceBytes = 512 << 10;
// For one try of the largest on a slow network; the lease is kept alive meanwhile.
constexpr absl::Duration kDeadline = absl::Minutes(5);

bool Retryable(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

absl::Status Named(const absl::Status& status, const std::string& what) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

absl::Status StatusOf(const absl::Status& status) { return status; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// Tries until it works, fails for good, or is not wanted any more.
template <typename Try>
auto Persist(const std::function<bool()>& wait, Try attempt) -> decltype(attempt()) {
  while (true) {
    auto result = attempt();
    const absl::Status status = StatusOf(result);
    if (!Retryable(status)) return result;
    spdlog::warn("{}; trying again", std::string(status.message()));
    if (!wait()) return absl::CancelledError("not wanted any more");
  }
}

}  // namespace

RemoteSummaries::RemoteSummaries(v1::WorkerService::StubInterface* stub, std::string worker, const v1::Lease& lease,
                                 std::function<bool()> wait)
    : stub_(stub),
      worker_(std::move(worker)),
      attempt_(lease.attempt()),
      summary_k_(lease.summary_k()),
      wait_(std::move(wait)) {}

absl::StatusOr<std::string> RemoteSummaries::Put(int32_t window, const std::string& bytes) {
  v1::SummaryHeader header;
  header.set_worker(worker_);
  *header.mutable_attempt() = attempt_;
  header.set_window(window);
  header.set_summary_k(summary_k_);
  header.set_bytes(static_cast<int64_t>(bytes.size()));
  header.set_digest(wire::Sha256Hex(bytes));
  const absl::Status sent = Persist(wait_, [&] { return Send(header, bytes); });
  if (absl::IsAborted(sent)) return absl::CancelledError(sent.message());
  if (!sent.ok()) return sent;
  return header.digest();
}

absl::Status RemoteSummaries::Send(const v1::SummaryHeader& header, const std::string& bytes) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  v1::PutSummaryResponse response;
  auto writer = stub_->PutSummary(&context, &response);
  v1::SummaryPiece piece;
  *piece.mutable_header() = header;
  // A write fails where the coordinator has answered already: its status says why.
  bool open = writer->Write(piece);
  for (size_t at = 0; open && at < bytes.size(); at += kPieceBytes) {
    piece.set_data(bytes.substr(at, kPieceBytes));
    open = writer->Write(piece);
  }
  writer->WritesDone();
  return Named(wire::FromGrpc(writer->Finish()), absl::StrCat("sending the summary of window ", header.window()));
}

absl::StatusOr<std::string> RemoteSummaries::Get(int32_t window) {
  return Persist(wait_, [&] { return Fetch(window); });
}

absl::StatusOr<std::string> RemoteSummaries::Fetch(int32_t window) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  v1::FetchSummaryRequest request;
  request.set_job(attempt_.job());
  request.set_window(window);
  request.set_summary_k(summary_k_);
  auto reader = stub_->FetchSummary(&context, request);
  v1::SummaryPiece piece;
  v1::SummaryHeader header;
  std::string bytes;
  while (reader->Read(&piece)) {
    if (piece.has_header()) header = piece.header();
    bytes += piece.data();
  }
  const std::string what = absl::StrCat("fetching the summary of window ", window);
  if (absl::Status status = wire::FromGrpc(reader->Finish()); !status.ok()) return Named(status, what);
  if (static_cast<int64_t>(bytes.size()) == header.bytes() && wire::Sha256Hex(bytes) == header.digest()) return bytes;
  return absl::DataLossError(absl::StrCat(what, ": got ", bytes.size(), " bytes of another digest or size, expected ",
                                          header.bytes(), " with SHA-256 ", header.digest()));
}

}  // namespace uaqf::link
