#include "client/prompt_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/failure.h"
#include "client/utf8.h"
#include "proto/wire/channel.h"
#include "proto/wire/names.h"

namespace uaqf::client {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownErrors = 10;
// Room for the framing of a batch around one prompt.
constexpr std::size_t kLargestPrompt = wire::kBatchBytes - 64;

std::string Kind(const Json& value) { return value.is_null() ? "null" : value.type_name(); }

// A problem with one line; empty when there is none.
using Problem = std::string;

Problem ReadString(const Json& object, const char* key, std::string* out) {
  const auto found = object.find(key);
  if (found == object.end()) return "";
  if (!found->is_string()) return absl::StrCat("got \"", key, "\" as ", Kind(*found), ", expected a string");
  *out = found->get<std::string>();
  return "";
}

Problem CheckKeys(const Json& object, const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return absl::StrCat("got the unknown key \"", key, "\", expected only ", absl::StrJoin(known, ", "));
  }
  return "";
}

Problem ReadMessages(const Json& object, v1::Prompt* prompt) {
  const auto found = object.find("messages");
  if (found == object.end()) return "";
  if (!found->is_array() || found->empty()) {
    return absl::StrCat("got \"messages\" as ", found->is_array() ? "an empty list" : Kind(*found),
                        ", expected a list of {\"role\", \"content\"}");
  }
  for (const Json& turn : *found) {
    if (!turn.is_object()) return absl::StrCat("got a message as ", Kind(turn), ", expected {\"role\", \"content\"}");
    v1::ChatMessage* message = prompt->add_messages();
    if (Problem p = CheckKeys(turn, {"role", "content"}); !p.empty()) return p;
    if (Problem p = ReadString(turn, "role", message->mutable_role()); !p.empty()) return p;
    if (Problem p = ReadString(turn, "content", message->mutable_content()); !p.empty()) return p;
    constexpr std::array<const char*, 3> kRoles = {"system", "user", "assistant"};
    if (std::find(kRoles.begin(), kRoles.end(), message->role()) == kRoles.end()) {
      return absl::StrCat("got the role \"", message->role(), "\", expected system, user or assistant");
    }
    if (message->content().empty()) return "got a message without content, expected text in \"content\"";
  }
  return "";
}

Problem CheckPrompt(const Json& object, const v1::Prompt& prompt) {
  if (prompt.id().empty()) return "got no \"id\", expected one, unique in the file";
  if (!wire::IsPlainId(prompt.id())) {
    return absl::StrCat("got the id \"", prompt.id(),
                        "\", expected 1 to 128 characters of [A-Za-z0-9._-], not beginning with a dot");
  }
  const bool has_text = object.contains("text");
  const bool has_messages = object.contains("messages");
  if (has_text && has_messages) return "got both \"text\" and \"messages\", expected one of them";
  if (!has_text && !has_messages) return "got neither \"text\" nor \"messages\", expected one of them";
  if (has_text && prompt.text().empty()) return "got an empty \"text\", expected a prompt";
  if (prompt.ByteSizeLong() > kLargestPrompt) {
    return absl::StrCat("got a prompt of ", prompt.ByteSizeLong(), " bytes, expected at most ", kLargestPrompt);
  }
  return "";
}

Problem ParseLine(absl::string_view line, v1::Prompt* prompt) {
  if (const std::size_t valid = ValidUtf8Prefix(line); valid < line.size()) {
    return absl::StrFormat("got invalid UTF-8 (byte 0x%02x in column %d), expected UTF-8",
                           static_cast<unsigned char>(line[valid]), valid + 1);
  }
  Json object;
  std::vector<std::set<std::string>> keys;
  std::string twice;
  // Which of two values is meant cannot be told.
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second && twice.empty()) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  try {
    object = Json::parse(line.begin(), line.end(), watch);
  } catch (const Json::exception& error) {
    const auto* parse_error = dynamic_cast<const Json::parse_error*>(&error);
    return absl::StrCat("got no JSON",
                        parse_error == nullptr ? "" : absl::StrCat(" (at column ", parse_error->byte, ")"),
                        ", expected an object such as {\"id\": \"a-1\", \"category\": \"math\", \"text\": \"…\"}");
  }
  if (!twice.empty()) return absl::StrCat("got the key \"", twice, "\" twice, expected each once");
  if (!object.is_object()) return absl::StrCat("got a JSON ", Kind(object), ", expected an object");
  for (Problem problem :
       {CheckKeys(object, {"id", "category", "text", "messages", "reference"}),
        ReadString(object, "id", prompt->mutable_id()), ReadString(object, "category", prompt->mutable_category()),
        ReadString(object, "text", prompt->mutable_text()),
        ReadString(object, "reference", prompt->mutable_reference()), ReadMessages(object, prompt),
        CheckPrompt(object, *prompt)}) {
    if (!problem.empty()) return problem;
  }
  return "";
}

absl::Status BadLines(const std::vector<std::string>& problems) {
  std::string text = absl::StrJoin(problems.begin(), problems.begin() + std::min(problems.size(), kShownErrors), "\n");
  if (problems.size() > kShownErrors) {
    absl::StrAppend(&text, "\nand ", problems.size() - kShownErrors, " more bad lines");
  }
  return UsageError(text);
}

}  // namespace

absl::StatusOr<std::vector<v1::Prompt>> ParsePrompts(absl::string_view bytes, const std::string& file,
                                                     std::size_t take) {
  std::vector<v1::Prompt> prompts;
  std::vector<std::string> problems;
  std::map<std::string, int> first_line_of;
  absl::string_view rest = bytes;
  if (absl::StartsWith(rest, "\xEF\xBB\xBF")) rest.remove_prefix(3);
  for (int number = 1; !rest.empty() && (take == 0 || prompts.size() < take); ++number) {
    const std::size_t end = rest.find('\n');
    const absl::string_view line = rest.substr(0, end);
    rest = end == absl::string_view::npos ? absl::string_view() : rest.substr(end + 1);
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    v1::Prompt prompt;
    Problem problem = ParseLine(line, &prompt);
    if (problem.empty()) {
      const auto [first, fresh] = first_line_of.emplace(prompt.id(), number);
      if (!fresh) {
        problem = absl::StrCat("got the id \"", prompt.id(), "\" again, expected ids to be unique (first on line ",
                               first->second, ")");
      }
    }
    if (!problem.empty()) {
      problems.push_back(absl::StrCat(file, ":", number, ": ", problem));
    } else {
      prompts.push_back(std::move(prompt));
    }
  }
  if (!problems.empty()) return BadLines(problems);
  if (prompts.empty()) {
    return UsageError(absl::StrCat(file, ": got no prompts, expected one JSON object on each line"));
  }
  return prompts;
}

absl::StatusOr<std::vector<v1::Prompt>> CutText(absl::string_view bytes, const std::string& file,
                                                std::size_t piece_bytes) {
  if (bytes.empty()) return UsageError(absl::StrCat(file, ": got an empty file, expected a text"));
  if (const std::size_t valid = ValidUtf8Prefix(bytes); valid < bytes.size()) {
    const auto line = 1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(valid), '\n');
    return UsageError(absl::StrFormat("%s:%d: got invalid UTF-8 (byte 0x%02x at offset %d), expected a text in UTF-8",
                                      file, line, static_cast<unsigned char>(bytes[valid]), valid));
  }
  std::vector<v1::Prompt> pieces;
  while (!bytes.empty()) {
    const std::size_t cut = CutAtCharacter(bytes, piece_bytes);
    v1::Prompt& piece = pieces.emplace_back();
    piece.set_id(absl::StrFormat("piece-%06d", pieces.size() - 1));
    piece.set_text(std::string(bytes.substr(0, cut)));
    bytes.remove_prefix(cut);
  }
  return pieces;
}

static absl::StatusOr<std::string> ReadUpTo(std::istream& in, const std::string& path, std::size_t limit) {
  constexpr std::size_t kStep = 1 << 20;
  std::string bytes;
  while (in && bytes.size() <= limit) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kStep);
    in.read(bytes.data() + before, kStep);
    bytes.resize(before + static_cast<std::size_t>(in.gcount()));
  }
  if (bytes.size() <= limit) return bytes;
  return UsageError(
      absl::StrCat(path == "-" ? "standard input" : path, " has more than ", limit, " bytes, expected at most those"));
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, std::size_t limit) {
  if (path == "-") return ReadUpTo(std::cin, path, limit);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  // Reading a folder through a stream gives an empty file, not an error.
  if (S_ISDIR(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is a folder, expected a file"));
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::FailedPreconditionError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  auto bytes = ReadUpTo(in, path, limit);
  if (in.bad()) return absl::FailedPreconditionError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  return bytes;
}

}  // namespace uaqf::client
