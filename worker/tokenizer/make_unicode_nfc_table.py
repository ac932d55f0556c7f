"""Writes unicode_nfc_table.inc from Python's own Unicode database.

usage: python3 worker/tokenizer/make_unicode_nfc_table.py > worker/tokenizer/unicode_nfc_table.inc
"""
import sys
import unicodedata

CHARACTERS = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def is_hangul_syllable(char):
    return 0xAC00 <= ord(char) < 0xAC00 + 11172


def rows(items, per_line):
    for i in range(0, len(items), per_line):
        print("    " + " ".join(items[i:i + per_line]))


def main():
    print(f"// Made by make_unicode_nfc_table.py from Unicode {unicodedata.unidata_version}; not edited by hand.")
    print("// Canonical decompositions, one step each: {character, first, second or 0, may be composed again}.")
    print("constexpr Decomposition kDecompositions[] = {")
    items = []
    for char in CHARACTERS:
        decomposition = unicodedata.decomposition(char)
        if not decomposition or decomposition.startswith("<") or is_hangul_syllable(char):
            continue
        parts = [int(part, 16) for part in decomposition.split()]
        first, second = parts[0], parts[1] if len(parts) == 2 else 0
        composes = bool(second) and unicodedata.normalize("NFC", chr(first) + chr(second)) == char
        items.append(f"{{0x{ord(char):X}, 0x{first:X}, 0x{second:X}, {int(composes)}}},")
    rows(items, 4)
    print("};")
    print("// Runs of characters of one combining class: {first, last, class}.")
    print("constexpr CombiningRun kCombiningRuns[] = {")
    runs = []
    for char in CHARACTERS:
        combining = unicodedata.combining(char)
        if not combining:
            continue
        if runs and runs[-1][1] == ord(char) - 1 and runs[-1][2] == combining:
            runs[-1][1] = ord(char)
        else:
            runs.append([ord(char), ord(char), combining])
    rows([f"{{0x{first:X}, 0x{last:X}, {combining}}}," for first, last, combining in runs], 6)
    print("};")


if __name__ == "__main__":
    main()
