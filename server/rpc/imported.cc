#include "server/rpc/imported.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/wire/digest.h"
#include "server/core/ids.h"
#include "server/core/types.h"
#include "server/rpc/errors.h"
#include "server/rpc/field_checks.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

constexpr int kMostVariants = 1000;
constexpr double kMostBytes = 1e18;
// Draws of an id before giving up: one in 800 million is taken.
constexpr int kDraws = 10;

absl::Status Label(absl::string_view field, absl::string_view text) {
  const bool plain = std::none_of(text.begin(), text.end(), [](char c) { return absl::ascii_iscntrl(c); });
  if (!text.empty() && text.size() <= kMaxIdChars && plain) return absl::OkStatus();
  return Invalid("INVALID_LABEL", absl::StrCat("got ", field, " = ", Shown(text), ", expected 1 to ", kMaxIdChars,
                                               " bytes of text without control characters"));
}

absl::Status Positive(absl::string_view field, const std::string& variant, double value, double most) {
  if (value > 0 && value <= most) return absl::OkStatus();
  return Invalid("OUT_OF_RANGE", absl::StrCat("got ", field, " = ", value, " of ", Shown(variant),
                                              ", expected a number above 0; leave out what was not published"));
}

absl::Status Validate(const v1::ImportedVariant& v) {
  constexpr double kMost = 1e12;
  if (absl::Status label = Label("variant", v.variant()); !label.ok()) return label;
  if (v.has_latency_s()) {
    if (auto status = Positive("latency_s", v.variant(), v.latency_s(), kMost); !status.ok()) return status;
  }
  if (v.has_tokens_per_s()) {
    if (auto status = Positive("tokens_per_s", v.variant(), v.tokens_per_s(), kMost); !status.ok()) return status;
  }
  if (v.has_memory_bytes()) {
    const auto bytes = static_cast<double>(v.memory_bytes());
    if (auto status = Positive("memory_bytes", v.variant(), bytes, kMostBytes); !status.ok()) return status;
  }
  if (!v.has_delta_perplexity()) return absl::OkStatus();
  if (!std::isfinite(v.delta_perplexity())) {
    return Invalid("NOT_A_NUMBER", absl::StrCat("got delta_perplexity = ", v.delta_perplexity(), " of ",
                                                Shown(v.variant()), ", expected a finite number"));
  }
  if (v.variant() != core::kBaselineVariant || v.delta_perplexity() == 0) return absl::OkStatus();
  return Invalid("OUT_OF_RANGE", absl::StrCat("got delta_perplexity = ", v.delta_perplexity(),
                                              " of fp16, expected 0: it is the difference to fp16"));
}

std::int64_t WallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

absl::Status Validate(const v1::ImportJobRequest& request) {
  const v1::ImportedTable& table = request.table();
  if (absl::Status status = FirstOf({ValidateRequestId(request.request_id()), Label("title", table.title()),
                                     Label("baseline_label", table.baseline_label())});
      !status.ok()) {
    return status;
  }
  if (table.variants_size() < 2 || table.variants_size() > kMostVariants) {
    return Invalid("OUT_OF_RANGE", absl::StrCat("got ", table.variants_size(), " variants, expected 2 to ",
                                                kMostVariants, ": fp16 and what is compared with it"));
  }
  std::set<absl::string_view> seen;
  for (const v1::ImportedVariant& variant : table.variants()) {
    if (absl::Status valid = Validate(variant); !valid.ok()) return valid;
    if (!seen.insert(variant.variant()).second) {
      return Invalid("DUPLICATE_VARIANT",
                     absl::StrCat("got variant ", Shown(variant.variant()), " twice, expected each label once"));
    }
  }
  if (seen.count(core::kBaselineVariant) > 0) return absl::OkStatus();
  return Invalid("NO_BASELINE", "got no variant fp16, expected it: it is what the others are compared with");
}

core::ImportedTable FromProto(const v1::ImportedTable& message) {
  core::ImportedTable table{message.title(), message.baseline_label(), {}};
  for (const v1::ImportedVariant& from : message.variants()) {
    core::ImportedVariant& to = table.variants.emplace_back();
    to.variant = from.variant();
    if (from.has_latency_s()) to.latency_s = from.latency_s();
    if (from.has_tokens_per_s()) to.tokens_per_s = from.tokens_per_s();
    if (from.has_delta_perplexity()) to.delta_perplexity = from.delta_perplexity();
    if (from.has_memory_bytes()) to.memory_bytes = from.memory_bytes();
  }
  return table;
}

v1::ImportedTable ToProto(const core::ImportedTable& table) {
  v1::ImportedTable message;
  message.set_title(table.title);
  message.set_baseline_label(table.baseline_label);
  for (const core::ImportedVariant& from : table.variants) {
    v1::ImportedVariant& to = *message.add_variants();
    to.set_variant(from.variant);
    if (from.latency_s) to.set_latency_s(*from.latency_s);
    if (from.tokens_per_s) to.set_tokens_per_s(*from.tokens_per_s);
    if (from.delta_perplexity) to.set_delta_perplexity(*from.delta_perplexity);
    if (from.memory_bytes) to.set_memory_bytes(*from.memory_bytes);
  }
  return message;
}

std::vector<ranking::PublishedFigures> FiguresOf(const core::ImportedTable& table) {
  std::vector<ranking::PublishedFigures> figures;
  for (const core::ImportedVariant& v : table.variants) {
    figures.push_back({v.variant, v.latency_s, v.tokens_per_s, v.delta_perplexity, v.memory_bytes});
  }
  return figures;
}

absl::StatusOr<core::JobId> Import(store::ImportStore* store, const v1::ImportJobRequest& request) {
  core::ImportJob job;
  job.table = FromProto(request.table());
  // Of "import" too: the same request_id for a job that is measured is another request.
  job.request = {/*principal=*/"", request.request_id(),
                 wire::Sha256Hex(absl::StrCat("import\n", ToProto(job.table).SerializeAsString()))};
  job.wall_ns = WallNs();
  std::random_device device;
  const core::RandomBits random = std::mt19937_64((std::uint64_t{device()} << 32) | device());
  for (int draw = 0; draw < kDraws; ++draw) {
    job.id = core::NewJobId(random);
    const auto stored = store->ImportJob(job);
    if (!stored.ok()) return StoreUnavailable(stored.status());
    if (stored->applied == store::Applied::kYes) return job.id;
    if (stored->applied == store::Applied::kExists) return stored->existing;
    if (stored->applied == store::Applied::kRequestReused) {
      return wire::Error(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
                         absl::StrCat("got request_id ", request.request_id(),
                                      " again with another table; choose a new one for a new job"));
    }
  }
  return Overloaded();
}

}  // namespace uaqf::rpc
