// Files with prompts and texts, into the items of a prompt set. Pure functions over bytes.
//
// A prompt file is JSON Lines: one object on each line, blank lines left out.
//
//   {"id": "math-1", "category": "math", "text": "What is 6 times 7?", "reference": "42"}
//   {"id": "chat-1", "category": "dialogue", "messages": [{"role": "user", "content": "Hello"}]}
//
// `id` is 1 to 128 characters of [A-Za-z0-9._-], unique in the file; exactly one of `text` and `messages` is given and
// not empty; roles are system, user, assistant; `category` and `reference` may be left out. `topic`, `language` and
// `length` are labels for those who keep the file: they are read over, and not part of the set.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/wire/channel.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

// Most bytes of one prompt: a batch of an upload, less the room for its framing.
inline constexpr std::size_t kLargestPrompt = wire::kBatchBytes - 64;

// Pieces a text is cut into for transport, bytes.
inline constexpr std::size_t kTextPieceBytes = 256 << 10;

// The prompts of `bytes`, the content of `file`, in order; with `take` above 0 only the first `take` of them, without
// looking at the lines behind. InvalidArgument: each bad line (the first ten) as "file:line: got, expected"; a file
// without prompts.
[[nodiscard]] absl::StatusOr<std::vector<v1::Prompt>> ParsePrompts(absl::string_view bytes, const std::string& file,
                                                                   std::size_t take = 0);

// `bytes` verbatim, cut at characters into pieces of at most `piece_bytes` (4 or more) with ids "piece-000000", ….
// InvalidArgument: an empty text, or one that is not UTF-8 ("file:line").
[[nodiscard]] absl::StatusOr<std::vector<v1::Prompt>> CutText(absl::string_view bytes, const std::string& file,
                                                              std::size_t piece_bytes = kTextPieceBytes);

// The lines of a raw WikiText file as its published rows are joined to be scored by the GPTQ recipe, which is how
// `uaqf-worker perplexity --join-rows` reads it: "\n\n" between rows, a blank line is an empty row, any other keeps its
// line feed. InvalidArgument: see CutText.
[[nodiscard]] absl::StatusOr<std::string> JoinRows(absl::string_view bytes, const std::string& file);

// Most bytes of a file that is imported: a coordinator takes sets of 64 MiB, which JSON's escapes may write larger.
inline constexpr std::size_t kLargestPromptFile = 512u << 20;

// The whole of `path`; "-" is standard input. NotFound or FailedPrecondition: what the system said. InvalidArgument:
// more than `limit` bytes; no more than those are read, so a pipe without an end does not fill the memory.
[[nodiscard]] absl::StatusOr<std::string> ReadWholeFile(const std::string& path,
                                                        std::size_t limit = kLargestPromptFile);

}  // namespace uaqf::client
