#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/ranking/measures.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

// Which rows of a table are compared, and what to say about the others.
struct Selection {
  std::vector<bool> keep;
  bool all = true;
};

// Rows are keyed by (a, b); a key is compared when every participating variant has it.
Selection Select(const Measurements& m, const char* what, const std::vector<std::int32_t>& variant,
                 const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b,
                 std::vector<std::string>* notes) {
  Selection selection;
  const std::int32_t baseline = BaselineIndex(m);
  std::vector<std::int64_t> count(m.variants.size());
  for (const std::int32_t v : variant) ++count[v];
  if (baseline < 0 || count[baseline] == 0) return selection;

  std::vector<bool> compared(m.variants.size());
  std::int32_t participants = 0;
  for (std::size_t v = 0; v < count.size(); ++v) {
    compared[v] = 2 * count[v] >= count[baseline];
    participants += compared[v] ? 1 : 0;
    if (!compared[v] && count[v] > 0) {
      notes->push_back(absl::StrFormat("%s has %d of fp16's %d %s records: too few to compare yet", m.variants[v].name,
                                       count[v], count[baseline], what));
    }
  }

  PairIndex index(variant.size());
  std::vector<std::int32_t> key(variant.size()), holders;
  for (std::size_t k = 0; k < variant.size(); ++k) {
    bool added = false;
    key[k] = index.Number(a[k], b.empty() ? 0 : b[k], &added);
    if (added) holders.push_back(0);
    if (compared[variant[k]]) ++holders[key[k]];
  }
  selection.keep.resize(variant.size());
  std::int64_t kept_of_baseline = 0;
  for (std::size_t k = 0; k < variant.size(); ++k) {
    // More holders than participants: a record twice, left in for Measure to refuse.
    const bool keep = compared[variant[k]] && holders[key[k]] >= participants;
    selection.keep[k] = keep;
    selection.all = selection.all && keep;
    if (keep && variant[k] == baseline) ++kept_of_baseline;
  }
  if (kept_of_baseline < count[baseline]) {
    notes->push_back(absl::StrFormat("compared on %d of fp16's %d %s records: those that every compared variant has",
                                     kept_of_baseline, count[baseline], what));
  }
  return selection;
}

void KeepCommonOutputs(Measurements* m, std::vector<std::string>* notes) {
  std::vector<std::int32_t> variant, item;
  for (const AgreementRow& row : m->agreements) {
    variant.push_back(row.variant);
    item.push_back(row.item);
  }
  const Selection compared = Select(*m, "agreement", variant, item, {}, notes);
  if (!compared.all) KeepColumn(compared.keep, &m->agreements);
}

}  // namespace

absl::StatusOr<CommonRecords> KeepCommonRecords(Measurements measurements) {
  if (auto status = CheckTables(measurements); !status.ok()) return status;
  CommonRecords common{std::move(measurements), {}};
  Measurements& m = common.measurements;
  TimingColumns& t = m.timings;
  const Selection timed = Select(m, "timing", t.variant, t.item, t.repeat, &common.notes);
  if (!timed.all) KeepRows(timed.keep, &t);
  WindowColumns& w = m.windows;
  const Selection scored = Select(m, "window", w.variant, w.window, {}, &common.notes);
  if (!scored.all) KeepRows(scored.keep, &w);
  KeepCommonOutputs(&m, &common.notes);
  return common;
}

}  // namespace uaqf::ranking
