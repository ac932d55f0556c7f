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
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/failure.h"
#include "client/json_rows.h"
#include "client/utf8.h"
#include "proto/wire/names.h"

namespace uaqf::client {
namespace {

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
    return absl::StrCat("got \"messages\" as ", found->is_array() ? "an empty list" : JsonKind(*found),
                        ", expected a list of {\"role\", \"content\"}");
  }
  for (const Json& turn : *found) {
    if (!turn.is_object())
      return absl::StrCat("got a message as ", JsonKind(turn), ", expected {\"role\", \"content\"}");
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
  Json object;
  constexpr char kExample[] = "{\"id\": \"a-1\", \"category\": \"math\", \"text\": \"…\"}";
  if (Problem problem = ParseObject(line, kExample, &object); !problem.empty()) return problem;
  std::string label;
  for (Problem problem :
       {CheckKeys(object, {"id", "category", "text", "messages", "reference", "topic", "language", "length"}),
        ReadString(object, "id", prompt->mutable_id()), ReadString(object, "category", prompt->mutable_category()),
        ReadString(object, "text", prompt->mutable_text()),
        ReadString(object, "reference", prompt->mutable_reference()), ReadMessages(object, prompt),
        ReadString(object, "topic", &label), ReadString(object, "language", &label),
        ReadString(object, "length", &label), CheckPrompt(object, *prompt)}) {
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace

absl::StatusOr<std::vector<v1::Prompt>> ParsePrompts(absl::string_view bytes, const std::string& file,
                                                     std::size_t take) {
  std::vector<v1::Prompt> prompts;
  Problems problems(file);
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
      problems.Add(number, problem);
    } else {
      prompts.push_back(std::move(prompt));
    }
  }
  if (!problems.empty()) return problems.ToStatus();
  if (prompts.empty()) {
    return UsageError(absl::StrCat(file, ": got no prompts, expected one JSON object on each line"));
  }
  return prompts;
}

static absl::Status CheckText(absl::string_view bytes, const std::string& file) {
  if (bytes.empty()) return UsageError(absl::StrCat(file, ": got an empty file, expected a text"));
  const std::size_t valid = ValidUtf8Prefix(bytes);
  if (valid == bytes.size()) return absl::OkStatus();
  const auto line = 1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(valid), '\n');
  return UsageError(absl::StrFormat("%s:%d: got invalid UTF-8 (byte 0x%02x at offset %d), expected a text in UTF-8",
                                    file, line, static_cast<unsigned char>(bytes[valid]), valid));
}

absl::StatusOr<std::string> JoinRows(absl::string_view bytes, const std::string& file) {
  if (absl::Status checked = CheckText(bytes, file); !checked.ok()) return checked;
  std::string joined;
  for (absl::string_view rest = bytes; !rest.empty();) {
    const std::size_t feed = rest.find('\n');
    const absl::string_view row = rest.substr(0, feed == absl::string_view::npos ? feed : feed + 1);
    rest.remove_prefix(row.size());
    if (!absl::StripAsciiWhitespace(row).empty()) absl::StrAppend(&joined, row);
    if (!rest.empty()) absl::StrAppend(&joined, "\n\n");
  }
  return joined;
}

absl::StatusOr<std::vector<v1::Prompt>> CutText(absl::string_view bytes, const std::string& file,
                                                std::size_t piece_bytes) {
  if (absl::Status checked = CheckText(bytes, file); !checked.ok()) return checked;
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
