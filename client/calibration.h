// On what the variants of a job are calibrated, as options in their names. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace uaqf::client {

// The --calibration-... flags of `jobs submit`: for every calibrated variant that does not say otherwise itself.
struct CalibrationFlags {
  std::optional<std::string> text;  // as typed
  std::optional<std::int32_t> samples;
  std::optional<std::int32_t> length;
  std::optional<std::uint64_t> seed;

  bool any() const { return text || samples || length || seed; }
};

// The value of one of the variant's options ("gptq-w4:samples=16" has samples); nothing where it does not have it.
std::optional<std::string> OptionOf(const std::string& variant, const std::string& option);

// The variant with that option's value, in place of the one it had or at its end.
std::string WithOption(const std::string& variant, const std::string& option, const std::string& value);

// The variant with what `flags` ask for added to what it says itself. `text` is the digest of `flags.text`.
std::string WithCalibration(const std::string& variant, const CalibrationFlags& flags, const std::string& text);

// What people are shown of `text`: digests behind ":text=" cut to their first twelve digits, which name the set as
// well.
std::string WithShortDigests(const std::string& text);

}  // namespace uaqf::client
