#include "worker/tokenizer/tokenizer_json_parts.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace uaqf::tokenizer {
namespace {

absl::Status Unsupported(const char* part, const Json& got, const char* known) {
  std::string text = got.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 200) text = text.substr(0, 200) + "...";
  return absl::UnimplementedError(
      absl::StrCat("this ", part, " of tokenizer.json is not supported: ", text, "; supported are ", known));
}

constexpr char kPreTokenizers[] = "Split (Isolated, Removed), Digits, ByteLevel, Metaspace, and sequences of them";

absl::Status ParseSplit(const Json& step, PreTokenizer& pre_tokenizer) {
  const Json& pattern = Member(step, "pattern");
  absl::StatusOr<std::string> regex = StringMember(pattern, "Regex", "");
  absl::StatusOr<std::string> literal = StringMember(pattern, "String", "");
  absl::StatusOr<std::string> behavior = StringMember(step, "behavior", "");
  absl::StatusOr<bool> invert = BoolMember(step, "invert", false);
  for (const absl::Status& status : {regex.status(), literal.status(), behavior.status(), invert.status()}) {
    if (!status.ok()) return status;
  }
  absl::StatusOr<Pattern> compiled = regex->empty() ? Pattern::CreateLiteral(*literal) : Pattern::Create(*regex);
  if (!compiled.ok()) return compiled.status();
  // Which parts are the matches makes no difference when all parts are kept.
  if (*behavior == "Isolated") {
    pre_tokenizer.AddStep(*std::move(compiled), SplitBehavior::kIsolated);
  } else if (*behavior == "Removed") {
    pre_tokenizer.AddStep(*std::move(compiled), *invert ? SplitBehavior::kRemovedInverted : SplitBehavior::kRemoved);
  } else {
    return Unsupported("pre-tokenizer", step, kPreTokenizers);
  }
  return absl::OkStatus();
}

absl::Status AddPattern(const char* expression, PreTokenizer& pre_tokenizer) {
  absl::StatusOr<Pattern> pattern = Pattern::Create(expression);
  if (!pattern.ok()) return pattern.status();
  pre_tokenizer.AddStep(*std::move(pattern), SplitBehavior::kIsolated);
  return absl::OkStatus();
}

absl::Status ParseByteLevel(const Json& step, bool first, BpeModel& model) {
  absl::StatusOr<bool> prefix = BoolMember(step, "add_prefix_space", true);
  if (!prefix.ok()) return prefix.status();
  absl::StatusOr<bool> use_regex = BoolMember(step, "use_regex", true);
  if (!use_regex.ok()) return use_regex.status();
  // After another step the space would go before every piece.
  if (*prefix && !first) return Unsupported("pre-tokenizer", step, kPreTokenizers);
  model.byte_level = true;
  model.prefix_space = *prefix;
  return *use_regex ? AddPattern(kGpt2Pattern, model.pre_tokenizer) : absl::OkStatus();
}

absl::Status ParseMetaspace(const Json& step, BpeModel& model) {
  absl::StatusOr<std::string> mark = StringMember(step, "replacement", "\xE2\x96\x81");
  if (!mark.ok()) return mark.status();
  // Older files have add_prefix_space in place of prepend_scheme.
  absl::StatusOr<bool> prefix = BoolMember(step, "add_prefix_space", true);
  if (!prefix.ok()) return prefix.status();
  absl::StatusOr<std::string> scheme = StringMember(step, "prepend_scheme", *prefix ? "always" : "never");
  if (!scheme.ok()) return scheme.status();
  absl::StatusOr<bool> split = BoolMember(step, "split", true);
  if (!split.ok()) return split.status();
  Metaspace metaspace{.mark = *mark, .split = *split};
  if (*scheme == "always") {
    metaspace.prepend = Metaspace::kAlways;
  } else if (*scheme == "first") {
    metaspace.prepend = Metaspace::kFirst;
  } else if (*scheme == "never") {
    metaspace.prepend = Metaspace::kNever;
  } else {
    return Unsupported("pre-tokenizer", step, kPreTokenizers);
  }
  if (metaspace.mark.empty()) return Unsupported("pre-tokenizer", step, kPreTokenizers);
  model.metaspace = std::move(metaspace);
  return absl::OkStatus();
}

}  // namespace

std::string TypeOf(const Json& part) {
  const Json& type = Member(part, "type");
  return type.is_string() ? type.get<std::string>() : "";
}

std::vector<const Json*> Flatten(const Json& part, const char* list) {
  std::vector<const Json*> parts;
  std::vector<const Json*> open = {&part};
  while (!open.empty()) {
    const Json* next = open.back();
    open.pop_back();
    if (next->is_null()) continue;
    const Json& members = Member(*next, list);
    if (TypeOf(*next) == "Sequence" && members.is_array()) {
      for (auto it = members.rbegin(); it != members.rend(); ++it) open.push_back(&*it);
    } else {
      parts.push_back(next);
    }
  }
  return parts;
}

absl::StatusOr<std::vector<NormalizerStep>> ParseNormalizer(const Json& normalizer) {
  std::vector<NormalizerStep> steps;
  for (const Json* part : Flatten(normalizer, "normalizers")) {
    const std::string type = TypeOf(*part);
    absl::StatusOr<std::string> from = StringMember(Member(*part, "pattern"), "String", "");
    absl::StatusOr<std::string> to = StringMember(*part, type == "Prepend" ? "prepend" : "content", "");
    for (const absl::Status& status : {from.status(), to.status()}) {
      if (!status.ok()) return status;
    }
    if (type == "Prepend") {
      steps.push_back({NormalizerStep::kPrepend, "", *to});
    } else if (type == "Replace" && !from->empty()) {
      steps.push_back({NormalizerStep::kReplace, *from, *to});
    } else if (type == "NFC") {
      steps.push_back({NormalizerStep::kNfc, "", ""});
    } else {
      return Unsupported("normalizer", *part, "Prepend, Replace of a string, NFC, and sequences of them");
    }
  }
  return steps;
}

absl::Status ParsePreTokenizer(const Json& pre_tokenizer, BpeModel& model) {
  bool first = true;
  for (const Json* part : Flatten(pre_tokenizer, "pretokenizers")) {
    const std::string type = TypeOf(*part);
    absl::Status status;
    // What follows these two would see their alphabet instead of the text.
    if (model.byte_level || model.metaspace.has_value()) {
      status = Unsupported("pre-tokenizer", pre_tokenizer, kPreTokenizers);
    } else if (type == "Split") {
      status = ParseSplit(*part, model.pre_tokenizer);
    } else if (type == "Digits") {
      absl::StatusOr<bool> each = BoolMember(*part, "individual_digits", false);
      status = each.ok() ? AddPattern(*each ? kDigitPattern : "\\p{N}+", model.pre_tokenizer) : each.status();
    } else if (type == "ByteLevel") {
      status = ParseByteLevel(*part, first, model);
    } else if (type == "Metaspace" && first) {
      status = ParseMetaspace(*part, model);
    } else {
      status = Unsupported("pre-tokenizer", *part, kPreTokenizers);
    }
    if (!status.ok()) return status;
    first = false;
  }
  return absl::OkStatus();
}

absl::StatusOr<DecoderSpec> ParseDecoder(const Json& decoder) {
  DecoderSpec spec;
  for (const Json* part : Flatten(decoder, "decoders")) {
    const std::string type = TypeOf(*part);
    if (type == "ByteLevel") {
      spec.byte_level = true;
    } else if (type == "ByteFallback") {
      spec.byte_fallback = true;
    } else if (type == "Replace" && IsText(Member(*part, "content"), " ") &&
               Member(Member(*part, "pattern"), "String").is_string()) {
      spec.mark = Member(Member(*part, "pattern"), "String").get<std::string>();
    } else if (type == "Metaspace") {
      absl::StatusOr<std::string> mark = StringMember(*part, "replacement", "\xE2\x96\x81");
      if (!mark.ok()) return mark.status();
      spec.mark = *mark;
      spec.strips_prefix =
          !IsText(Member(*part, "prepend_scheme"), "never") && Member(*part, "add_prefix_space") != false;
    } else if (type == "Strip" && IsText(Member(*part, "content"), " ")) {
      spec.strips_prefix = Member(*part, "start") == 1;
    } else if (type != "Fuse") {
      return Unsupported("decoder", *part, "ByteLevel, ByteFallback, Replace by a space, Metaspace, Strip and Fuse");
    }
  }
  return spec;
}

absl::StatusOr<std::vector<int32_t>> ParsePostProcessor(const Json& post_processor) {
  constexpr char kKnown[] = "ByteLevel, and TemplateProcessing with special tokens before the text only";
  std::vector<int32_t> before;
  for (const Json* part : Flatten(post_processor, "processors")) {
    const std::string type = TypeOf(*part);
    // ByteLevel moves offsets only, which nobody here asks for.
    if (type == "ByteLevel") continue;
    const Json& single = Member(*part, "single");
    if (type != "TemplateProcessing" || !single.is_array()) return Unsupported("post-processor", *part, kKnown);
    bool text_seen = false;
    for (const Json& piece : single) {
      if (!Member(piece, "Sequence").is_null()) {
        text_seen = true;
        continue;
      }
      absl::StatusOr<std::string> name = StringMember(Member(piece, "SpecialToken"), "id", "");
      if (!name.ok()) return name.status();
      const Json& ids = Member(Member(Member(*part, "special_tokens"), name->c_str()), "ids");
      if (text_seen || name->empty() || !ids.is_array()) return Unsupported("post-processor", *part, kKnown);
      for (const Json& value : ids) {
        absl::StatusOr<int32_t> id = TokenId(value, absl::StrCat("\"", *name, "\" in the post-processor"));
        if (!id.ok()) return id.status();
        before.push_back(*id);
      }
    }
  }
  return before;
}

}  // namespace uaqf::tokenizer
