// How far a job is: a bar that is rewritten on a terminal, one line for each event elsewhere.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/terminal.h"
#include "uaqf/v1/job.pb.h"

namespace uaqf::client {

// One line of at most `width` columns: bar, share, records, rate, time left, what runs now. No line end.
std::string BarLine(const v1::Job& job, int width);

// The lines for what happened between two states, each without its line end: a change of state, every tenth of the
// records, a calibration that begins and every tenth of its layers, a variant that is done or failed. `before` is null
// for the first state.
std::vector<std::string> EventLines(const v1::Job* before, const v1::Job& after);

// The end of a job in one line: "done      jobs/k7f2m9: 360 records in 1:32, 2 chunks re-run".
std::string EndLine(const v1::Job& job);

// "layer 7 of 30": the one it is at.
std::string LayerText(const v1::CalibrationProgress& progress);

// "queued", "running", "succeeded", "cancelled", "failed".
std::string StateName(v1::JobState state);

// Shows the states of one job as they come. Borrows the terminal. Not thread-safe.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(Terminal& out) : out_(out) {}
  // Leaves no half line behind.
  ~ProgressDisplay() { Clear(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void Show(const v1::Job& job);
  // A line of its own, above the bar.
  void Say(const std::string& line);

 private:
  void Clear();

  Terminal& out_;
  std::optional<v1::Job> last_;
  absl::Time drawn_ = absl::InfinitePast();
  bool bar_on_screen_ = false;
};

}  // namespace uaqf::client
