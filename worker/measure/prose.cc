#include "worker/measure/prose.h"

#include <iterator>
#include <string_view>

namespace uaqf::measure {
namespace {

constexpr std::string_view kSentences[] = {
    "The ferry left the harbour a little after seven and the gulls followed it as far as the second buoy.",
    "Nobody in the village could say when the clock on the town hall had stopped.",
    "She kept the letters in a wooden box under the stairs, sorted by the colour of their stamps.",
    "Rain had fallen for three days, and the river now touched the lowest branches of the willows.",
    "A good map shows what was left out as plainly as what was drawn.",
    "The baker opened his shutters before dawn, because the first train carried half of his customers away.",
    "On the far side of the valley a road was being built, slowly and with a great deal of noise.",
    "He measured the plank twice, wrote the number on his sleeve, and still cut it too short.",
    "In winter the library was the warmest room in the school, so everyone learned to like reading.",
    "The engineer asked for one more week, and then for one more after that.",
    "Old orchards need patience: a tree that is pruned in anger takes years to forgive it.",
    "They argued about the price of the boat until the tide went out and settled the matter.",
    "Most of the stars she could name were only visible after midnight.",
    "The committee met on Thursdays and decided, as a rule, to meet again.",
    "Copper pipes ran along the wall of the cellar and hummed when the neighbours took a bath.",
    "A dog slept in the doorway of the post office and let people step over him.",
    "The recipe called for twelve eggs, a pound of butter, and an afternoon without visitors.",
    "Far to the north the nights were already bright enough to read by.",
    "His grandfather had planted the hedge, his father had cut it, and he was the first to look over it.",
    "The museum kept its finest piece in a drawer, since light would have ruined it.",
    "When the wind turned, the smell of the brewery reached the hospital and cheered everyone up.",
    "Two surveyors walked along the ridge with a chain between them and counted aloud.",
    "The printer had set the whole page in type before he noticed that one line was missing.",
    "It was the kind of bridge that people crossed faster than they needed to.",
    "Every spring the lake gave back a few of the things it had taken in autumn.",
    "The lighthouse keeper wrote down the names of passing ships in a neat and narrow hand.",
    "A single lamp burned in the workshop where the violin was waiting for its last coat of varnish.",
    "The market began with fish and ended with flowers, and by noon the square was clean again.",
    "Children were told not to climb the quarry walls, which is how they learned where the walls were.",
    "The teacher answered questions with better questions until the bell rang.",
    "Snow covered the tracks within the hour, but the hunters had read enough.",
    "She played the same four bars until the people in the street began to whistle them.",
};

// splitmix64: small, well mixed, and the same everywhere.
uint64_t Next(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

std::string Prose(uint64_t seed, int32_t words) {
  std::string text;
  uint64_t state = seed;
  std::string_view rest;
  for (int32_t i = 0; i < words; ++i) {
    if (rest.empty()) rest = kSentences[Next(state) % std::size(kSentences)];
    const size_t end = rest.find(' ');
    if (!text.empty()) text += ' ';
    text += rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return text;
}

uint64_t ItemSeed(uint64_t job_seed, int32_t item) {
  uint64_t state = job_seed ^ (0xd1b54a32d192ed03ull * (static_cast<uint64_t>(item) + 1));
  return Next(state);
}

}  // namespace uaqf::measure
