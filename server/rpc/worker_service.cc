#include "server/rpc/worker_service.h"

#include <algorithm>
#include <utility>

#include "proto/wire/channel.h"
#include "server/rpc/call.h"
#include "server/rpc/errors.h"
#include "server/rpc/out_stream.h"
#include "server/rpc/summary_streams.h"

namespace uaqf::rpc {
namespace {

// The items of a set in messages of at most kBatchBytes, read as they are sent.
class PromptsStream final : public OutStream {
 public:
  explicit PromptsStream(const ServiceContext& context) : OutStream(context, "WorkerService/FetchPrompts") {}

  static OutStream* Start(const ServiceContext& context, const grpc::ByteBuffer& request) {
    auto stream = std::make_shared<PromptsStream>(context);
    stream->weak_ = stream;
    stream->Begin(stream);
    v1::FetchPromptsRequest message;
    absl::Status status = Parse(request, &message);
    auto digest = wire::ParsePromptSetName(message.prompt_set());
    if (status.ok()) status = digest.status();
    if (!status.ok()) {
      stream->End(status);
    } else {
      stream->digest_ = *std::move(digest);
      stream->OnSent();
    }
    return stream.get();
  }

  void OnSent() override {
    auto self = weak_.lock();
    if (!context_.executor->Post([self] { self->Next(); })) End(Overloaded());
  }

 private:
  void Next() {
    if (count_ < 0) {
      auto info = context_.store->GetPromptSet(digest_);
      if (!info.ok()) return End(OrMissing(info.status(), NoSuchPromptSet(digest_)));
      count_ = info->prompt_count;
      const std::int64_t mean = std::max<std::int64_t>(1, info->size_bytes / std::max(1, count_));
      per_read_ = static_cast<std::int32_t>(std::clamp<std::int64_t>(wire::kBatchBytes / mean, 1, 1000));
    }
    auto items = context_.store->ReadPrompts(digest_, first_, per_read_);
    if (!items.ok()) return End(items.status());
    v1::PromptBatch batch;
    std::size_t bytes = 0;
    for (const store::PromptItem& item : *items) {
      // The length and the tag of a repeated field take at most 11 bytes.
      bytes += item.blob.size() + 11;
      if (bytes > static_cast<std::size_t>(wire::kBatchBytes) && batch.prompts_size() > 0) break;
      if (!batch.add_prompts()->ParseFromString(item.blob)) {
        return End(wire::Error(absl::StatusCode::kDataLoss, "PROMPT_DAMAGED", "a stored prompt cannot be read"));
      }
    }
    first_ += batch.prompts_size();
    const bool last = first_ >= count_ || batch.prompts_size() == 0;
    Put(Serialize(batch), last);
  }

  std::weak_ptr<PromptsStream> weak_;
  // Touched by one task at a time: the next one is posted when a message was sent.
  std::string digest_;
  std::int32_t count_ = -1;
  std::int32_t first_ = 0;
  std::int32_t per_read_ = 1;
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* WorkerService::Session(
    grpc::CallbackServerContext* context) {
  return SessionStream::Start(context, worker_context_);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* WorkerService::Records(
    grpc::CallbackServerContext* context) {
  return RecordsStream::Start(context, worker_context_);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* WorkerService::FetchPrompts(grpc::CallbackServerContext*,
                                                                        const Bytes* request) {
  return PromptsStream::Start(context_, *request);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* WorkerService::PutSummary(grpc::CallbackServerContext* context,
                                                                     Bytes* response) {
  return SummaryUploadStream::Start(context_, context, &summary_bytes_, response);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* WorkerService::FetchSummary(grpc::CallbackServerContext*,
                                                                        const Bytes* request) {
  return SummaryStream::Start(context_, *request);
}

}  // namespace uaqf::rpc
