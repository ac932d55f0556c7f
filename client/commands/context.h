// What every command has: the flags of the whole program, its outputs, and the connection.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/table.h"
#include "client/terminal.h"

namespace uaqf::client {

struct Context {
  std::string server = kDefaultServer;
  wire::Security security;
  std::string output = "table";  // table, json, csv
  Terminal out = StandardOutput();
  Terminal err = StandardError();
  // What the command line asks for; set by the command that was named.
  std::function<absl::Status()> action;

  bool json() const { return output == "json"; }
  bool csv() const { return output == "csv"; }
  bool table() const { return output == "table"; }

  // Connects, once. The client lives as long as the context.
  absl::StatusOr<Client*> Connect();

  // Text on standard output.
  void Print(const std::string& text);
  // A table for people, or its rows for programs.
  void Print(const Table& table);
  // A line for a person beside the answer, on standard error, whatever the output.
  void Note(const std::string& text);
  // The next useful command, for a person at a terminal only.
  void Next(const std::string& command);

 private:
  std::unique_ptr<Client> client_;
};

// A command of `parent` with its one example under --help. The caller adds flags and positionals.
CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example);

// Makes `run` the action when `command` is named on the command line.
void OnCommand(CLI::App* command, Context& context, std::function<absl::Status()> run);

}  // namespace uaqf::client
