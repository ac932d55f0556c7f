#include "client/commands/context.h"

#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace uaqf::client {

absl::StatusOr<Client*> Context::Connect() {
  if (client_ == nullptr) {
    auto connected = Client::Connect(server, security);
    if (!connected.ok()) return connected.status();
    client_ = *std::move(connected);
  }
  return client_.get();
}

void Context::Print(const std::string& text) { *out.stream << text; }

void Context::Print(const Table& rows) { Print(csv() ? rows.Csv() : rows.Text(out)); }

void Context::Note(const std::string& text) {
  out.stream->flush();
  *err.stream << err.Paint(Style::kDim, absl::StrCat("note: ", text)) << "\n";
}

void Context::Next(const std::string& command) {
  if (!table() || !out.interactive) return;
  *out.stream << out.Paint(Style::kDim, absl::StrCat("next: ", command)) << "\n";
}

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->footer(absl::StrCat("example:\n  ", example));
  return command;
}

void OnCommand(CLI::App* command, Context& context, std::function<absl::Status()> run) {
  command->callback([&context, action = std::move(run)] { context.action = action; });
}

}  // namespace uaqf::client
