#include "worker/model/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/model/checkpoint_formats.h"
#include "worker/model/synthetic.h"

namespace uaqf::model {
namespace {

// A pickle can run code when read; none is ever opened, whatever it is called.
absl::Status RefusePickle(const std::string& path, std::span<const uint8_t> bytes) {
  constexpr std::array<std::string_view, 6> kExtensions = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt"};
  const std::string extension = absl::AsciiStrToLower(std::filesystem::path(path).extension().string());
  const bool by_name = std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
  const bool is_zip = bytes.size() >= 4 && bytes[0] == 'P' && bytes[1] == 'K' && bytes[2] == 3 && bytes[3] == 4;
  const bool is_pickle = bytes.size() >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
  if (!by_name && !is_zip && !is_pickle) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path,
                                                 ": got a PyTorch pickle, which can run code when it is read; expected "
                                                 "a GGUF file or a folder with safetensors. Convert it"));
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenFile(const Folder& folder, const std::string& file,
                                                     const std::string& path) {
  absl::StatusOr<MappedFile> mapped = folder.Map(file);
  if (!mapped.ok()) return mapped.status();
  const std::span<const uint8_t> bytes = mapped->bytes();
  if (absl::Status status = RefusePickle(path, bytes); !status.ok()) return status;
  const bool is_gguf = bytes.size() >= 4 && std::equal(bytes.begin(), bytes.begin() + 4, "GGUF");
  if (!is_gguf) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": got a file that is no GGUF, expected one, or the folder of a Hugging Face model (not a file in it)"));
  }
  return OpenGguf(folder, file, path);
}

bool IsModelName(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& c) {
  const int64_t q = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  std::vector<ExpectedTensor> expected = {{"model.embed_tokens.weight", c.vocab, c.hidden},
                                          {"model.norm.weight", 1, c.hidden},
                                          {"lm_head.weight", c.vocab, c.hidden}};
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const auto add = [&](const char* name, int64_t rows, int64_t columns) {
      expected.push_back({prefix + name, rows, columns});
    };
    add("input_layernorm.weight", 1, c.hidden);
    add("post_attention_layernorm.weight", 1, c.hidden);
    add("self_attn.q_proj.weight", q, c.hidden);
    add("self_attn.k_proj.weight", kv, c.hidden);
    add("self_attn.v_proj.weight", kv, c.hidden);
    add("self_attn.o_proj.weight", c.hidden, q);
    add("mlp.gate_proj.weight", c.ff, c.hidden);
    add("mlp.up_proj.weight", c.ff, c.hidden);
    add("mlp.down_proj.weight", c.hidden, c.ff);
    if (!c.qkv_bias) continue;
    add("self_attn.q_proj.bias", 1, q);
    add("self_attn.k_proj.bias", 1, kv);
    add("self_attn.v_proj.bias", 1, kv);
  }
  return expected;
}

absl::Status CheckTensors(const Checkpoint& checkpoint) {
  for (const ExpectedTensor& expected : ExpectedTensors(checkpoint.config())) {
    absl::StatusOr<TensorInfo> info = checkpoint.Find(expected.name);
    if (!info.ok()) return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": ", info.status().message()));
    if (info->rows != expected.rows || info->columns != expected.columns) {
      return absl::InvalidArgumentError(absl::StrCat(checkpoint.path(), ": tensor ", expected.name, " is ", info->rows,
                                                     " x ", info->columns, ", expected ", expected.rows, " x ",
                                                     expected.columns, " by the model's own description"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRows(const std::string& name, const TensorInfo& info, int64_t first_row, int64_t rows, size_t out) {
  if (first_row >= 0 && rows >= 0 && rows <= info.rows && first_row <= info.rows - rows &&
      out == static_cast<size_t>(rows * info.columns)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("asked for rows ", first_row, " to ", first_row + rows, " of ", name,
                                                 " into ", out, " values, it has ", info.rows, " rows of ",
                                                 info.columns));
}

absl::StatusOr<StoredMatrix> Checkpoint::ReadStored(const std::string& name, RowRange) const {
  return absl::NotFoundError(absl::StrCat(name, " is not quantized"));
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(const std::string& path) {
  if (IsSyntheticId(path)) return OpenSynthetic(path);
  std::error_code ignored;
  const std::filesystem::path full = std::filesystem::absolute(path, ignored).lexically_normal();
  if (path.empty() || !std::filesystem::exists(full, ignored)) {
    return absl::NotFoundError(
        absl::StrCat("no model at \"", absl::CHexEscape(path), "\"; expected a .gguf file or a Hugging Face folder"));
  }
  if (std::filesystem::is_directory(full, ignored)) {
    absl::StatusOr<Folder> folder = Folder::Open(full.string(), Folder::Links::kFollow);
    if (!folder.ok()) return folder.status();
    const std::filesystem::path named = full.has_filename() ? full : full.parent_path();
    return OpenHuggingFace(*std::move(folder), named.filename().string(), path);
  }
  absl::StatusOr<Folder> folder = Folder::Open(full.parent_path().string(), Folder::Links::kFollow);
  if (!folder.ok()) return folder.status();
  return OpenFile(*folder, full.filename().string(), path);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::OpenNamed(const std::string& models, const std::string& name) {
  if (!IsModelName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("got model name \"", absl::CHexEscape(name.substr(0, 128)),
                     "\", expected 1 to 128 letters, digits, '.', '_' or '-', not beginning with a dot"));
  }
  absl::StatusOr<Folder> folder = Folder::Open(models, Folder::Links::kRefuse);
  if (!folder.ok()) return folder.status();
  const std::string file = name + ".gguf";
  if (folder->Has(file)) return OpenFile(*folder, file, absl::StrCat(models, "/", file));
  if (folder->Has(name)) {
    absl::StatusOr<Folder> sub = folder->Sub(name);
    if (!sub.ok()) return sub.status();
    return OpenHuggingFace(*std::move(sub), name, absl::StrCat(models, "/", name));
  }
  return absl::NotFoundError(
      absl::StrCat("no model \"", name, "\" in ", models, "; expected ", file, " or a Hugging Face folder ", name));
}

}  // namespace uaqf::model
