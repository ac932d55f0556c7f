#include "client/progress.h"

#include <algorithm>
#include <array>
#include <map>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/client.h"
#include "client/figures.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

constexpr int kLongestBar = 30;
// On narrower lines the bar leaves its room to the figures.
constexpr int kNarrow = 60;
constexpr absl::Duration kRedraw = absl::Milliseconds(100);

std::int64_t Settled(const v1::JobProgress& progress) {
  return progress.records_done() + progress.records_quarantined();
}

double Share(const v1::JobProgress& progress) {
  if (progress.records_total() <= 0) return 0;
  return std::clamp(static_cast<double>(Settled(progress)) / static_cast<double>(progress.records_total()), 0.0, 1.0);
}

int Percent(const v1::JobProgress& progress) { return static_cast<int>(Share(progress) * 100); }

// Eighths of a column, so that it moves although a job is long.
std::string Bar(double share, int columns) {
  static constexpr std::array<const char*, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(share * columns * 8);
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kEighths[static_cast<std::size_t>(eighths % 8)];
  bar.append(static_cast<std::size_t>(columns - DisplayWidth(bar)), ' ');
  return bar;
}

absl::Duration Remaining(const v1::JobProgress& progress) {
  return absl::Seconds(progress.remaining().seconds()) + absl::Nanoseconds(progress.remaining().nanos());
}

// What a job does that has no record to show for it yet.
std::string Waiting(const v1::Job& job) {
  std::vector<std::string> loading;
  for (const v1::VariantProgress& variant : job.progress().variants()) {
    if (variant.state() == v1::VARIANT_STATE_LOADING) loading.push_back(variant.variant());
  }
  if (!loading.empty()) return absl::StrCat("loading ", absl::StrJoin(loading, ", "));
  return job.state() == v1::JOB_STATE_QUEUED ? "waiting for a worker" : "";
}

std::vector<std::string> Figures(const v1::Job& job) {
  const v1::JobProgress& progress = job.progress();
  std::vector<std::string> parts;
  if (progress.records_total() > 0) {
    parts.push_back(absl::StrFormat("%3d %%", Percent(progress)));
    parts.push_back(absl::StrCat(Settled(progress), "/", progress.records_total()));
  }
  if (progress.records_per_s() > 0) {
    parts.push_back(absl::StrCat(Fixed(progress.records_per_s(), progress.records_per_s() < 100 ? 1 : 0), "/s"));
  }
  if (progress.has_remaining()) parts.push_back(absl::StrCat(Clock(Remaining(progress)), " left"));
  const std::string doing = progress.current().empty() ? Waiting(job) : progress.current();
  if (!doing.empty()) parts.push_back(doing);
  if (progress.chunks_rerun() > 0) parts.push_back(absl::StrCat(Count(progress.chunks_rerun(), "chunk"), " re-run"));
  if (progress.records_quarantined() > 0) {
    parts.push_back(absl::StrCat(Count(progress.records_quarantined(), "record"), " quarantined"));
  }
  return parts;
}

std::string Labelled(const std::string& label, const std::string& text) {
  return absl::StrFormat("%-10s%s", label, text);
}

std::string Label(const v1::Job& job) { return job.state() == v1::JOB_STATE_QUEUED ? "queued" : "measure"; }

absl::Duration Elapsed(const v1::Job& job) {
  if (!job.has_end_time() || !job.has_start_time()) return absl::ZeroDuration();
  return absl::Seconds(job.end_time().seconds() - job.start_time().seconds()) +
         absl::Nanoseconds(job.end_time().nanos() - job.start_time().nanos());
}

int TenthOf(const v1::CalibrationProgress& progress) {
  return progress.layers_total() > 0 ? progress.layers_done() * 10 / progress.layers_total() : -1;
}

// Calibrations that began, or came a tenth further, between the two states. That one is over is seen by what follows.
void AppendCalibrationEvents(const v1::Job* before, const v1::Job& after, std::vector<std::string>* lines) {
  std::map<std::string, int> was;
  if (before != nullptr) {
    for (const v1::VariantProgress& variant : before->progress().variants()) {
      was[variant.variant()] = TenthOf(variant.calibration());
    }
  }
  for (const v1::VariantProgress& variant : after.progress().variants()) {
    const auto found = was.find(variant.variant());
    const int tenth = TenthOf(variant.calibration());
    if (tenth < 0 || tenth == 10 || (found != was.end() && found->second == tenth)) continue;
    lines->push_back(Labelled("calibrate", absl::StrCat(variant.variant(), ", ", LayerText(variant.calibration()))));
  }
}

// Variants that reached an end between the two states.
void AppendVariantEvents(const v1::Job* before, const v1::Job& after, std::vector<std::string>* lines) {
  std::map<std::string, v1::VariantState> was;
  if (before != nullptr) {
    for (const v1::VariantProgress& variant : before->progress().variants()) was[variant.variant()] = variant.state();
  }
  for (const v1::VariantProgress& variant : after.progress().variants()) {
    const auto found = was.find(variant.variant());
    if (found != was.end() && found->second == variant.state()) continue;
    if (variant.state() == v1::VARIANT_STATE_DONE) {
      lines->push_back(Labelled("variant", absl::StrCat(variant.variant(), " done")));
    } else if (variant.state() == v1::VARIANT_STATE_STOPPED) {
      lines->push_back(Labelled("variant", absl::StrCat(variant.variant(), " stopped: ", variant.error())));
    } else if (variant.state() == v1::VARIANT_STATE_FAILED) {
      lines->push_back(Labelled("variant", absl::StrCat(variant.variant(), " failed: ", variant.error())));
    }
  }
}

}  // namespace

std::string BarLine(const v1::Job& job, int width) {
  std::string text;
  if (job.progress().records_total() > 0 && width >= kNarrow) {
    text = absl::StrCat(Bar(Share(job.progress()), std::min(width / 5, kLongestBar)), "  ");
  }
  absl::StrAppend(&text, absl::StrJoin(Figures(job), "   "));
  return FitToWidth(Printable(WithShortDigests(Labelled(Label(job), text))), width);
}

std::vector<std::string> EventLines(const v1::Job* before, const v1::Job& after) {
  std::vector<std::string> lines;
  // All of it happened before anybody looked.
  if (before == nullptr && HasEnded(after.state())) return lines;
  AppendCalibrationEvents(before, after, &lines);
  AppendVariantEvents(before, after, &lines);
  // The end has a line of its own.
  if (!HasEnded(after.state())) {
    const bool new_state = before == nullptr || before->state() != after.state();
    const bool new_tenth = before == nullptr || Percent(before->progress()) / 10 != Percent(after.progress()) / 10;
    if (new_state || new_tenth) lines.push_back(Labelled(Label(after), absl::StrJoin(Figures(after), "  ")));
  }
  for (std::string& line : lines) line = Printable(WithShortDigests(line));
  return lines;
}

std::string EndLine(const v1::Job& job) {
  const v1::JobProgress& progress = job.progress();
  std::string text = absl::StrCat(job.name(), ": ", Count(progress.records_done(), "record"));
  if (progress.records_done() < progress.records_total()) absl::StrAppend(&text, " of ", progress.records_total());
  if (Elapsed(job) > absl::ZeroDuration()) absl::StrAppend(&text, " in ", Clock(Elapsed(job)));
  if (progress.chunks_rerun() > 0) absl::StrAppend(&text, ", ", Count(progress.chunks_rerun(), "chunk"), " re-run");
  if (progress.records_quarantined() > 0) {
    absl::StrAppend(&text, ", ", Count(progress.records_quarantined(), "record"), " quarantined");
  }
  if (!job.error().empty()) absl::StrAppend(&text, ": ", job.error());
  return Printable(Labelled(job.state() == v1::JOB_STATE_SUCCEEDED ? "done" : StateName(job.state()), text));
}

std::string LayerText(const v1::CalibrationProgress& progress) {
  return absl::StrCat("layer ", std::min(progress.layers_done() + 1, progress.layers_total()), " of ",
                      progress.layers_total());
}

std::string StateName(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_QUEUED:
      return "queued";
    case v1::JOB_STATE_RUNNING:
      return "running";
    case v1::JOB_STATE_SUCCEEDED:
      return "succeeded";
    case v1::JOB_STATE_CANCELLED:
      return "cancelled";
    case v1::JOB_STATE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

void ProgressDisplay::Show(const v1::Job& job) {
  if (out_.interactive) {
    const bool changed = !last_ || last_->state() != job.state();
    if (HasEnded(job.state())) {
      Clear();
    } else if (changed || absl::Now() - drawn_ >= kRedraw) {
      *out_.stream << "\r\033[K" << BarLine(job, out_.width - 1) << std::flush;
      bar_on_screen_ = true;
      drawn_ = absl::Now();
    }
  } else {
    for (const std::string& line : EventLines(last_ ? &*last_ : nullptr, job)) *out_.stream << line << "\n";
    out_.stream->flush();
  }
  last_ = job;
}

void ProgressDisplay::Say(const std::string& line) {
  Clear();
  *out_.stream << Printable(line) << std::endl;
}

void ProgressDisplay::Clear() {
  if (!bar_on_screen_) return;
  *out_.stream << "\r\033[K" << std::flush;
  bar_on_screen_ = false;
}

}  // namespace uaqf::client
