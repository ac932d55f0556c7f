// SHA-256 of model files and of small texts.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "worker/model/mapped_file.h"

namespace uaqf::model {

// Lower-case hex.
std::string Sha256(std::span<const uint8_t> bytes);
std::string Sha256(std::string_view text);

// The digest of a model of these files by name. One file: that file's own SHA-256, as sha256sum prints it. Several: the
// SHA-256 of "name\0digest\n" over all of them, by name. A file that was hashed before by this process and has the same
// identity is not read again. Thread-safe.
std::string DigestOfFiles(const std::map<std::string, const MappedFile*>& files);

}  // namespace uaqf::model
