#include <cstdint>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/table.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

// Shares too small to matter are not shown.
std::string ShareCell(double share) { return share < 0.0005 ? "" : absl::StrCat(Fixed(share * 100, 1), " %"); }

std::string ClockCell(const v1::VariantEvidence& v) {
  if (!v.has_clock_mhz()) return "";
  return absl::StrCat(Fixed(v.clock_mhz(), 0), " [", Fixed(v.clock_low_mhz(), 0), ", ", Fixed(v.clock_high_mhz(), 0),
                      "]");
}

}  // namespace

std::string EvidenceLine(const v1::EvidenceSummary& evidence) {
  const auto chunks = [](int sum, const v1::VariantEvidence& v) { return sum + v.chunks(); };
  if (std::accumulate(evidence.variants().begin(), evidence.variants().end(), 0, chunks) == 0) return "";
  std::int64_t rejected = 0;
  for (const v1::VariantEvidence& v : evidence.variants()) rejected += v.rejected();
  std::string text = absl::StrCat("evidence: ", Count(rejected, "chunk"), " rejected");
  if (evidence.has_drift()) {
    absl::StrAppend(&text, ", drift ", Signed(evidence.drift().value() * 100, 2), " %");
    if (evidence.drift().has_half_width()) {
      absl::StrAppend(&text, " ±", Fixed(evidence.drift().half_width() * 100, 2));
    }
    text += " over the run";
  }
  absl::StrAppend(&text, evidence.interleaved() ? ", variants took turns" : ", variants did not take turns");
  return text + "\n";
}

std::string DeviceTimeText(const v1::DeviceTime& time) {
  const auto clock = [](double seconds) { return Clock(absl::Seconds(seconds)); };
  std::string text = absl::StrCat(clock(time.measured_s()), " of the device");
  if (time.remaining_s() > 0) absl::StrAppend(&text, ", some ", clock(time.remaining_s()), " to come");
  if (time.skipped_s() > 0) {
    absl::StrAppend(&text, ", estimated ", Fixed(100 * time.saved_share(), 0), " % less than the ",
                    clock(time.uniform_s()), " of measuring all to the end");
  }
  return text;
}

std::string NoiseFloorLine(const v1::NoiseFloor& floor) {
  if (!floor.reason().empty()) return absl::StrCat("fp16 against itself: not known, ", Printable(floor.reason()), "\n");
  if (!floor.has_tokens_per_s()) return "";
  const v1::SelfDifference& speed = floor.tokens_per_s();
  const auto percent = [](double share) { return Signed(100 * share, 2); };
  return absl::StrCat("fp16 against itself, in ", floor.separate_processes() ? "two processes" : "one process", ": ",
                      percent(speed.value()), " % tokens/s [", percent(speed.interval().low()), ", ",
                      percent(speed.interval().high()), "]; up to ", Fixed(100 * speed.floor(), 2), " % is noise\n");
}

std::string EvidenceText(const v1::EvidenceSummary& evidence, const Terminal& terminal) {
  const std::string line = EvidenceLine(evidence);
  if (line.empty()) return "";
  Table table({{"variant"},
               {"chunks", Align::kRight},
               {"rejected", Align::kRight},
               {"clock MHz"},
               {"power cap", Align::kRight},
               {"heat", Align::kRight},
               {"°C", Align::kRight},
               {"foreign load", Align::kRight},
               {"place", Align::kRight},
               {"slowed down by"}});
  for (const v1::VariantEvidence& v : evidence.variants()) {
    table.AddRow({Printable(WithShortDigests(v.variant())), absl::StrCat(v.chunks()),
                  v.rejected() > 0 ? absl::StrCat(v.rejected()) : "", ClockCell(v), ShareCell(v.power_capped()),
                  ShareCell(v.thermal()), v.has_temperature_c() ? absl::StrCat(v.temperature_c()) : "",
                  ShareCell(v.foreign_load()), Fixed(v.mean_place(), 2),
                  Printable(absl::StrJoin(v.slowdowns(), ", "))});
  }
  table.DropEmptyColumns();
  return table.Text(terminal) + line;
}

}  // namespace uaqf::client
