// A tokenizer without a file, for synthetic models: a byte is a token.
#pragma once

#include <cstdint>
#include <memory>

#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// 0 is unknown, 1 BOS (put first), 2 EOS, 3 to 258 are the bytes 0 to 255; every id above, up to `vocab`, decodes to a
// word of its own that no text encodes to, since a random model chooses any of them. `vocab` is at least 259.
std::unique_ptr<Tokenizer> MakeByteTokenizer(int32_t vocab);

}  // namespace uaqf::tokenizer
