#include "server/rpc/summary_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"
#include "server/rpc/field_checks.h"
#include "server/rpc/validate.h"
#include "server/rpc/worker_streams.h"

namespace uaqf::rpc {
namespace {

constexpr char kPut[] = "WorkerService/PutSummary";

absl::Status Busy(absl::string_view why) {
  return wire::WithRetryDelay(wire::Error(absl::StatusCode::kUnavailable, "OVERLOADED", why), absl::Seconds(1));
}

// What the store says, as the protocol does.
absl::Status Answer(const absl::Status& stored) {
  if (absl::IsAborted(stored)) return wire::WithReason(stored, "LEASE_LOST");
  if (absl::IsResourceExhausted(stored)) return wire::WithReason(stored, "SUMMARIES_TOO_LARGE");
  return stored;
}

}  // namespace

SummaryUploadStream::SummaryUploadStream(const ServiceContext& context, grpc::CallbackServerContext* call,
                                         std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response)
    : UploadReactor(context, call, response,
                    {kPut, all_bytes, Busy("too many requests wait now; try again"),
                     absl::CancelledError("the worker is gone")}) {}

SummaryUploadStream* SummaryUploadStream::Start(const ServiceContext& context, grpc::CallbackServerContext* call,
                                                std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response) {
  auto stream = std::make_shared<SummaryUploadStream>(context, call, all_bytes, response);
  stream->Begin(stream);
  return stream.get();
}

absl::Status SummaryUploadStream::TakeHeader(const v1::SummaryHeader& header) {
  if (header_.has_value()) return Invalid("SECOND_HEADER", "got a second header, expected data");
  if (absl::Status valid = Validate(header); !valid.ok()) return valid;
  if (absl::Status may = MayBe(call(), *wire::ParseWorkerName(header.worker())); !may.ok()) return may;
  if (!Count(header.bytes(), context().limits.summary_upload_bytes)) {
    return Busy("too many summaries are under way; try again when others are through");
  }
  header_ = header;
  return absl::OkStatus();
}

absl::Status SummaryUploadStream::Take(const grpc::ByteBuffer& message) {
  v1::SummaryPiece piece;
  if (absl::Status parsed = Parse(message, &piece); !parsed.ok()) return parsed;
  if (piece.has_header()) return TakeHeader(piece.header());
  if (!header_.has_value()) return Invalid("NO_HEADER", "got data first, expected the header");
  bytes_ += piece.data();
  if (static_cast<std::int64_t>(bytes_.size()) <= header_->bytes()) return absl::OkStatus();
  return Invalid("WRONG_SIZE", absl::StrCat("got ", bytes_.size(), " bytes or more, expected ", header_->bytes()));
}

absl::StatusOr<grpc::ByteBuffer> SummaryUploadStream::Store() {
  if (!header_.has_value()) return Invalid("NO_HEADER", "got nothing, expected the header first");
  if (static_cast<std::int64_t>(bytes_.size()) != header_->bytes() || wire::Sha256Hex(bytes_) != header_->digest()) {
    return Invalid("WRONG_BYTES", absl::StrCat("got ", bytes_.size(), " bytes of another digest or size, expected ",
                                               header_->bytes(), " with SHA-256 ", header_->digest()));
  }
  store::SummaryUpload upload;
  upload.attempt = {*wire::ParseJobName(header_->attempt().job()), header_->attempt().chunk(),
                    header_->attempt().epoch()};
  upload.worker = *wire::ParseWorkerName(header_->worker());
  upload.window = header_->window();
  upload.summary_k = header_->summary_k();
  upload.digest = header_->digest();
  const absl::Status stored = context().store->PutSummary(upload, bytes_, context().limits.summary_job_bytes);
  if (!stored.ok()) return Answer(stored);
  return Serialize(v1::PutSummaryResponse());
}

OutStream* SummaryStream::Start(const ServiceContext& context, const grpc::ByteBuffer& request) {
  auto stream = std::make_shared<SummaryStream>(context);
  stream->weak_ = stream;
  stream->Begin(stream);
  v1::FetchSummaryRequest message;
  absl::Status status = Parse(request, &message);
  if (status.ok()) status = Validate(message);
  if (!status.ok()) {
    stream->End(status);
  } else {
    stream->key_ = {*wire::ParseJobName(message.job()), message.window(), message.summary_k()};
    stream->OnSent();
  }
  return stream.get();
}

void SummaryStream::OnSent() {
  auto self = weak_.lock();
  if (!context_.executor->Post([self] { self->Next(); })) End(Busy("too many requests wait now; try again"));
}

void SummaryStream::Next() {
  v1::SummaryPiece piece;
  if (!info_.has_value()) {
    auto info = context_.store->FindSummary(key_);
    if (!info.ok()) {
      return End(absl::IsNotFound(info.status()) ? wire::WithReason(info.status(), "SUMMARY_NOT_FOUND")
                                                 : info.status());
    }
    info_ = *std::move(info);
    v1::SummaryHeader& header = *piece.mutable_header();
    header.mutable_attempt()->set_job(wire::JobName(key_.job));
    header.set_window(key_.window);
    header.set_summary_k(key_.summary_k);
    header.set_bytes(info_->bytes);
    header.set_digest(info_->digest);
    return Put(Serialize(piece), info_->pieces == 0);
  }
  auto data = context_.store->ReadSummaryPiece(key_, next_);
  if (!data.ok()) return End(data.status());
  piece.set_data(*std::move(data));
  Put(Serialize(piece), ++next_ == info_->pieces);
}

}  // namespace uaqf::rpc
