#include "client/json_rows.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/failure.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

constexpr std::size_t kShownErrors = 10;

// Notes a key that an object has twice: which of two values is meant cannot be told.
class KeyWatch {
 public:
  void See(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event != Json::parse_event_t::key) return;
    const std::string key = parsed.get<std::string>();
    if (!keys_.back().insert(key).second && twice_.empty()) twice_ = key;
  }
  // What was noted since the last call.
  Problem Take() {
    if (twice_.empty()) return "";
    return absl::StrCat("got the key \"", std::exchange(twice_, ""), "\" twice, expected each once");
  }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string twice_;
};

// Bytes of a file as the parser reads them, counting lines on the way.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  reference operator*() const { return *at; }
  CountingIterator& operator++() {
    if (*at == '\n') ++*line;
    ++at;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
  bool operator!=(const CountingIterator& other) const { return at != other.at; }

  const char* at;
  int* line;
};

// Hands over the objects of one array as they end, and keeps none of them.
class ArrayReader {
 public:
  ArrayReader(const std::string& file, const char* array_key,
              const std::function<Problem(const Json& row, int line)>& take)
      : array_key_(array_key), take_(take), problems_(file) {}

  absl::Status Read(absl::string_view bytes, absl::string_view example) {
    CountingIterator begin{bytes.data(), &line_};
    CountingIterator end{bytes.data() + bytes.size(), &line_};
    try {
      const Json rest = Json::parse(
          begin, end, [this](int depth, Json::parse_event_t event, Json& parsed) { return See(depth, event, parsed); });
    } catch (const Json::exception& error) {
      problems_.Add(line_, absl::StrCat("got no JSON, expected an array of objects such as ", example));
    }
    if (problems_.empty() && rows_ == 0) problems_.Add(1, NoRows());
    return problems_.ToStatus();
  }

 private:
  Problem NoRows() const {
    if (array_key_ == nullptr) return "got no rows, expected an array of objects";
    return absl::StrCat("got no rows, expected an array of objects, or an object with one under \"", array_key_, "\"");
  }

  bool See(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (depth == 0 && event == Event::object_start) row_depth_ = 2;
    if (row_depth_ == 2 && depth == 1 && event == Event::key) {
      at_key_ = array_key_ != nullptr && parsed.get<std::string>() == array_key_;
    }
    watch_.See(event, parsed);
    if (depth == row_depth_ - 1) {
      if (event == Event::array_start) in_array_ = row_depth_ == 1 || at_key_;
      if (event == Event::array_end) in_array_ = false;
    }
    if (!in_array_ || depth != row_depth_) return true;
    if (event == Event::object_start) row_line_ = line_;
    if (event == Event::value || event == Event::array_start) {
      const std::string kind = event == Event::value ? JsonKind(parsed) : "array";
      problems_.Add(line_, absl::StrCat("got a JSON ", kind, ", expected an object"));
    }
    if (event != Event::object_end) return true;
    ++rows_;
    Problem problem = watch_.Take();
    if (problem.empty()) problem = take_(parsed, row_line_);
    if (!problem.empty()) problems_.Add(row_line_, problem);
    return false;
  }

  const char* const array_key_;
  const std::function<Problem(const Json& row, int line)>& take_;
  Problems problems_;
  KeyWatch watch_;
  int line_ = 1;
  int row_line_ = 1;
  int row_depth_ = 1;
  int rows_ = 0;
  bool at_key_ = false;
  bool in_array_ = false;
};

absl::Status ReadLines(absl::string_view bytes, const std::string& file, absl::string_view example,
                       const std::function<Problem(const Json& row, int line)>& take) {
  Problems problems(file);
  bool any = false;
  for (int number = 1; !bytes.empty(); ++number) {
    const std::size_t end = bytes.find('\n');
    const absl::string_view line = bytes.substr(0, end);
    bytes = end == absl::string_view::npos ? absl::string_view() : bytes.substr(end + 1);
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    any = true;
    Json row;
    Problem problem = ParseObject(line, example, &row);
    if (problem.empty()) problem = take(row, number);
    if (!problem.empty()) problems.Add(number, problem);
  }
  if (!any) problems.Add(1, absl::StrCat("got no rows, expected one JSON object on each line, such as ", example));
  return problems.ToStatus();
}

// JSON Lines have a whole object on their first line, which does not hold the array itself.
bool IsOneDocument(absl::string_view bytes, const char* array_key) {
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(bytes);
  if (absl::StartsWith(text, "[")) return true;
  if (array_key == nullptr || !absl::StartsWith(text, "{")) return false;
  const absl::string_view line = text.substr(0, text.find('\n'));
  const Json first = Json::parse(line.begin(), line.end(), nullptr, false);
  return first.is_discarded() || first.contains(array_key);
}

}  // namespace

std::string JsonKind(const Json& value) { return value.is_null() ? "null" : value.type_name(); }

Problem ReadString(const Json& object, const char* key, std::string* out) {
  const auto found = object.find(key);
  if (found == object.end()) return "";
  if (!found->is_string()) return absl::StrCat("got \"", key, "\" as ", JsonKind(*found), ", expected a string");
  *out = found->get<std::string>();
  return "";
}

Problem ParseObject(absl::string_view line, absl::string_view example, Json* object) {
  if (const std::size_t valid = ValidUtf8Prefix(line); valid < line.size()) {
    return absl::StrFormat("got invalid UTF-8 (byte 0x%02x in column %d), expected UTF-8",
                           static_cast<unsigned char>(line[valid]), valid + 1);
  }
  KeyWatch watch;
  try {
    *object = Json::parse(line.begin(), line.end(), [&watch](int, Json::parse_event_t event, Json& parsed) {
      watch.See(event, parsed);
      return true;
    });
  } catch (const Json::exception& error) {
    const auto* parse_error = dynamic_cast<const Json::parse_error*>(&error);
    return absl::StrCat("got no JSON",
                        parse_error == nullptr ? "" : absl::StrCat(" (at column ", parse_error->byte, ")"),
                        ", expected an object such as ", example);
  }
  if (Problem twice = watch.Take(); !twice.empty()) return twice;
  if (!object->is_object()) return absl::StrCat("got a JSON ", JsonKind(*object), ", expected an object");
  return "";
}

void Problems::Add(int line, const Problem& problem) {
  if (told_.size() < kShownErrors) {
    told_.push_back(absl::StrCat(file_, ":", line, ": ", problem));
  } else {
    ++more_;
  }
}

absl::Status Problems::ToStatus() const {
  if (told_.empty()) return absl::OkStatus();
  std::string text = absl::StrJoin(told_, "\n");
  if (more_ > 0) absl::StrAppend(&text, "\nand ", more_, " more bad lines");
  return UsageError(text);
}

absl::Status ReadRows(absl::string_view bytes, const std::string& file, const char* array_key,
                      absl::string_view example, const std::function<Problem(const Json& row, int line)>& take) {
  if (absl::StartsWith(bytes, "\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (!IsOneDocument(bytes, array_key)) return ReadLines(bytes, file, example, take);
  if (const std::size_t valid = ValidUtf8Prefix(bytes); valid < bytes.size()) {
    Problems problems(file);
    problems.Add(
        static_cast<int>(1 + std::count(bytes.begin(), bytes.begin() + valid, '\n')),
        absl::StrFormat("got invalid UTF-8 (byte 0x%02x), expected UTF-8", static_cast<unsigned char>(bytes[valid])));
    return problems.ToStatus();
  }
  return ArrayReader(file, array_key, take).Read(bytes, example);
}

}  // namespace uaqf::client
