#include "worker/tokenizer/sentencepiece_bridge.h"

#include <sentencepiece_processor.h>

namespace uaqf::tokenizer {

SentencePieceBridge::SentencePieceBridge() : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {}
SentencePieceBridge::~SentencePieceBridge() = default;

bool SentencePieceBridge::Load(std::string_view serialized, std::string& error) {
  const auto status = processor_->LoadFromSerializedProto(serialized);
  if (!status.ok()) error = status.ToString();
  if (status.ok() && size() == 0) error = "it has no pieces";
  return status.ok() && size() > 0;
}

bool SentencePieceBridge::Encode(std::string_view text, std::vector<int>& ids, std::string& error) const {
  const auto status = processor_->Encode(text, &ids);
  if (!status.ok()) error = status.ToString();
  return status.ok();
}

int SentencePieceBridge::size() const { return processor_->GetPieceSize(); }
const std::string& SentencePieceBridge::piece(int id) const { return processor_->IdToPiece(id); }

SentencePieceBridge::Kind SentencePieceBridge::kind(int id) const {
  if (processor_->IsUnknown(id)) return Kind::kUnknown;
  if (processor_->IsControl(id)) return Kind::kControl;
  if (processor_->IsByte(id)) return Kind::kByte;
  if (processor_->IsUnused(id)) return Kind::kUnused;
  return Kind::kNormal;
}

int SentencePieceBridge::bos() const { return processor_->bos_id(); }
int SentencePieceBridge::eos() const { return processor_->eos_id(); }
int SentencePieceBridge::unknown() const { return processor_->unk_id(); }

}  // namespace uaqf::tokenizer
