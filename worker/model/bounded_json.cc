#include "worker/model/bounded_json.h"

#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

// Walks through the text without building anything. (The library's own parse callback takes quadratic time for an
// object of many objects.)
class Checker : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Checker(const JsonLimits& limits) : limits_(limits) {}

  // Why the text is refused; empty when it is not.
  const std::string& reason() const { return reason_; }

  bool null() override { return Count(); }
  bool boolean(bool) override { return Count(); }
  bool number_integer(number_integer_t) override { return Count(); }
  bool number_unsigned(number_unsigned_t) override { return Count(); }
  bool number_float(number_float_t, const string_t&) override { return Count(); }
  bool string(string_t&) override { return Count(); }
  bool binary(binary_t&) override { return Count(); }
  bool start_object(std::size_t) override { return Open(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& key) override {
    if (open_.back().insert(key).second) return true;
    return Refuse(absl::StrCat("key \"", absl::CHexEscape(key.substr(0, 80)), "\" is there twice"));
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Refuse(absl::StrCat("is not valid JSON at byte ", position));
  }

 private:
  bool Count() {
    if (++values_ <= limits_.max_values) return true;
    return Refuse(absl::StrCat("JSON has more than ", limits_.max_values, " values"));
  }
  bool Open() {
    if (open_.size() == limits_.max_depth)
      return Refuse(absl::StrCat("JSON is nested deeper than ", limits_.max_depth));
    open_.emplace_back();
    return Count();
  }
  bool Close() {
    open_.pop_back();
    return true;
  }
  bool Refuse(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }

  const JsonLimits& limits_;
  size_t values_ = 0;
  std::vector<std::unordered_set<std::string>> open_;  // keys of the objects (and none of the arrays) that are open
  std::string reason_;
};

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, std::string_view what, const JsonLimits& limits) {
  const std::string name(what);
  if (text.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": got ", text.size(), " bytes of JSON, expected at most ", limits.max_bytes));
  }
  Checker checker(limits);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &checker)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", checker.reason()));
  }
  return nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

}  // namespace uaqf::model
