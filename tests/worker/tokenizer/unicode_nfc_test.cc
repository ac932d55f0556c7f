#include "worker/tokenizer/unicode_nfc.h"

#include <gtest/gtest.h>

#include <string>

namespace uaqf::tokenizer {
namespace {

struct Composition {
  const char* name;
  const char* text;
  const char* composed;
};

class Nfc : public ::testing::TestWithParam<Composition> {};

// The rows follow the examples of Unicode Standard Annex 15.
TEST_P(Nfc, IsTheComposedForm) {
  EXPECT_EQ(ToNfc(GetParam().text), GetParam().composed);
  EXPECT_EQ(ToNfc(ToNfc(GetParam().text)), GetParam().composed);
}

INSTANTIATE_TEST_SUITE_P(Unicode, Nfc,
                         ::testing::Values(Composition{"Ascii", "plain text", "plain text"},
                                           Composition{"Empty", "", ""},
                                           Composition{"Accent", "cafe\u0301", "caf\u00e9"},
                                           Composition{"Already", "\u00e9", "\u00e9"},
                                           Composition{"Singleton", "\u212b\u2126", "\u00c5\u03a9"},
                                           Composition{"TwoMarks", "s\u0323\u0307", "\u1e69"},
                                           Composition{"MarksOutOfOrder", "s\u0307\u0323", "\u1e69"},
                                           Composition{"PartlyComposed", "\u1e61\u0323", "\u1e69"},
                                           Composition{"BlockedMark", "a\u0301\u0301", "\u00e1\u0301"},
                                           Composition{"NothingToCompose", "q\u0307\u0323", "q\u0323\u0307"},
                                           Composition{"Excluded", "\u0958", "\u0915\u093c"},
                                           Composition{"Compatibility", "\ufb01\uff21", "\ufb01\uff21"},
                                           Composition{"Hangul", "\u1112\u1161\u11ab", "\ud55c"},
                                           Composition{"HangulWithoutTrail", "\u1100\u1173", "\uadf8"},
                                           Composition{"HangulSyllableAndTrail", "\uac00\u11a8", "\uac01"},
                                           Composition{"HangulTrailTwice", "\uac01\u11a8", "\uac01\u11a8"},
                                           Composition{"LeadingMark", "\u0301a", "\u0301a"},
                                           Composition{"MarkAfterBlock", "a\u0315\u0300", "\u00e0\u0315"}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace uaqf::tokenizer
