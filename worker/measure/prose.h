// Seeded filler text: plain English prose that brings an input to a wanted length.
#pragma once

#include <cstdint>
#include <string>

namespace uaqf::measure {

// The first `words` words of the endless prose of `seed`, single spaces between them. The same arguments give the same
// text on every machine; fewer words give a prefix of more words.
std::string Prose(uint64_t seed, int32_t words);

// Seed of one item's prose, so that the items of a job do not share their prefix.
uint64_t ItemSeed(uint64_t job_seed, int32_t item);

}  // namespace uaqf::measure
