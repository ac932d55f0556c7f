#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace uaqf::client {
namespace {

const char* Sequence(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\033[1m";
    case Style::kDim:
      return "\033[2m";
    case Style::kRed:
      return "\033[31m";
    case Style::kGreen:
      return "\033[32m";
    case Style::kYellow:
      return "\033[33m";
  }
  return "";
}

bool Set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

Terminal Of(std::ostream& stream, int descriptor) {
  Terminal terminal;
  terminal.stream = &stream;
  const char* kind = std::getenv("TERM");
  const bool dumb = kind != nullptr && std::strcmp(kind, "dumb") == 0;
  terminal.interactive = isatty(descriptor) == 1 && !dumb;
  terminal.colour = terminal.interactive && !Set("NO_COLOR");
  winsize size{};
  if (terminal.interactive && ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = size.ws_col;
  }
  return terminal;
}

}  // namespace

std::string Terminal::Paint(Style style, absl::string_view text) const {
  if (!colour || style == Style::kPlain) return std::string(text);
  return absl::StrCat(Sequence(style), text, "\033[0m");
}

Terminal StandardOutput() { return Of(std::cout, STDOUT_FILENO); }
Terminal StandardError() { return Of(std::cerr, STDERR_FILENO); }

}  // namespace uaqf::client
