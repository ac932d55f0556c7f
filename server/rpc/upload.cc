#include "server/rpc/upload.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"
#include "server/rpc/field_checks.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

constexpr char kMethod[] = "EvaluationService/CreatePromptSet";

absl::Status TooLarge(absl::string_view what, std::int64_t got, std::int64_t limit) {
  return wire::Error(absl::StatusCode::kResourceExhausted, "PROMPT_SET_TOO_LARGE",
                     absl::StrCat("got ", got, " ", what, ", expected at most ", limit, ": split the set"));
}

}  // namespace

absl::Status PromptSetBuilder::Add(const v1::CreatePromptSetRequest& request) {
  if (request.has_header()) {
    if (header_.has_value()) return Invalid("SECOND_HEADER", "got a second header, expected items");
    if (absl::Status valid = Validate(request.header()); !valid.ok()) return valid;
    header_ = request.header();
    digest_.emplace(header_->kind());
    return absl::OkStatus();
  }
  if (!header_.has_value()) return Invalid("NO_HEADER", "got items first, expected the header");
  for (const v1::Prompt& prompt : request.items().prompts()) {
    if (absl::Status added = AddItem(prompt); !added.ok()) return added;
  }
  return absl::OkStatus();
}

absl::Status PromptSetBuilder::AddItem(const v1::Prompt& prompt) {
  if (absl::Status valid = Validate(prompt, header_->kind()); !valid.ok()) return valid;
  if (!ids_.insert(prompt.id()).second) {
    return Invalid("DUPLICATE_PROMPT", absl::StrCat("got the prompt id ", prompt.id(), " twice, expected each once"));
  }
  std::string bytes = digest_->Add(prompt);
  bytes_ += static_cast<std::int64_t>(bytes.size());
  const std::int64_t count = static_cast<std::int64_t>(items_.size()) + 1;
  if (static_cast<std::int64_t>(bytes.size()) > limits_.prompt_bytes) {
    return TooLarge(absl::StrCat("bytes in prompt ", prompt.id()), static_cast<std::int64_t>(bytes.size()),
                    limits_.prompt_bytes);
  }
  if (count > limits_.prompt_set_items) return TooLarge("items", count, limits_.prompt_set_items);
  if (bytes_ > limits_.prompt_set_bytes) return TooLarge("bytes", bytes_, limits_.prompt_set_bytes);
  items_.push_back({prompt.id(), prompt.category(), std::move(bytes)});
  return absl::OkStatus();
}

absl::StatusOr<store::PromptSetInfo> PromptSetBuilder::Finish() {
  if (!header_.has_value()) return Invalid("NO_HEADER", "got no header, expected it first");
  if (items_.empty()) return Invalid("NO_ITEMS", "got no items, expected at least one");
  store::PromptSetInfo info;
  info.digest = digest_->Finish();
  info.display_name = header_->display_name();
  info.kind = static_cast<store::PromptSetKind>(header_->kind());
  info.prompt_count = static_cast<std::int32_t>(items_.size());
  info.size_bytes = bytes_;
  info.create_wall_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  v1::PromptSetHeader sources;
  *sources.mutable_sources() = header_->sources();
  sources.DiscardUnknownFields();
  info.sources = sources.SerializeAsString();
  return info;
}

UploadStream::UploadStream(const ServiceContext& context, grpc::CallbackServerContext* call,
                           std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response)
    : UploadReactor(context, call, response,
                    {kMethod, all_bytes, Overloaded(), absl::CancelledError("the client is gone")}),
      builder_(context.limits) {}

UploadStream* UploadStream::Start(const ServiceContext& context, grpc::CallbackServerContext* call,
                                  std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response) {
  auto stream = std::make_shared<UploadStream>(context, call, all_bytes, response);
  stream->Begin(stream);
  return stream.get();
}

absl::Status UploadStream::Take(const grpc::ByteBuffer& message) {
  if (!Count(static_cast<std::int64_t>(message.Length()), context().limits.upload_bytes)) {
    return wire::WithRetryDelay(
        wire::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_UPLOADS",
                    absl::StrCat("all uploads together hold more than ", context().limits.upload_bytes,
                                 " bytes now; try again when others are through")),
        absl::Seconds(2));
  }
  v1::CreatePromptSetRequest request;
  if (absl::Status parsed = Parse(message, &request); !parsed.ok()) return parsed;
  return builder_.Add(request);
}

absl::StatusOr<grpc::ByteBuffer> UploadStream::Store() {
  auto info = builder_.Finish();
  if (!info.ok()) return info.status();
  auto stored = context().store->PutPromptSet(*info, builder_.items());
  if (!stored.ok()) return stored.status();
  return Serialize(ToProto(*stored));
}

}  // namespace uaqf::rpc
