// Which language a text is written in, told by script and by function words.
#pragma once

#include <string>
#include <string_view>

namespace uaqf::evaluate {

// The ISO 639-1 code of the likeliest language; empty where nothing tells (no letters).
//
// A script that one language uses decides alone: el, he, hy, ka, th, lo, km, my, si, ta, te, kn, ml, gu, pa, bn, or,
// am, ko, ja (kana), zh. Languages that share a script are told apart by the commonest function words and by letters of
// their own: Latin en, de, fr, es, pt, it, nl, sv, da, no, fi, pl, cs, ro, hu, tr, id, sw, vi, tl, sq, hr; Cyrillic ru,
// uk, bg, mk, sr; Arabic ar, fa, ur; Devanagari hi, mr, ne. Latin text without any known function word is "en" when it
// has only ASCII letters, else empty. Twenty words are enough in practice; a few words of a rare language are not.
std::string DetectLanguage(std::string_view text);

}  // namespace uaqf::evaluate
