// Where output goes: a terminal, with colour and lines that are rewritten, or a pipe, with neither.
#pragma once

#include <iosfwd>
#include <string>

#include "absl/strings/string_view.h"

namespace uaqf::client {

enum class Style { kPlain, kBold, kDim, kRed, kGreen, kYellow };

// One output of the program. Borrows the stream. Not thread-safe.
struct Terminal {
  std::ostream* stream = nullptr;
  // A person watches: hints, bars and rewritten lines are welcome.
  bool interactive = false;
  // Escape sequences for colour are welcome.
  bool colour = false;
  // Columns of a line.
  int width = 80;

  // `text` in `style` where colour is welcome, else `text`.
  std::string Paint(Style style, absl::string_view text) const;
};

// Standard output and standard error as they are now. NO_COLOR (not empty) and TERM=dumb switch colour off; a dumb
// terminal is not interactive.
Terminal StandardOutput();
Terminal StandardError();

}  // namespace uaqf::client
