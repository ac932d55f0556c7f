#!/usr/bin/env python3
"""Shows how the prompts of this folder are spread over lengths, languages and topics.

  prompts/spread.py            the tables of README.md
  prompts/spread.py --topics   every topic, by category
  prompts/spread.py --check    fails where a label is wrong or README.md shows other tables
  prompts/spread.py --write    puts the tables into README.md
"""
import collections
import json
import pathlib
import re
import statistics
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
CATEGORIES = ["dialogue_fluency", "code_symbolic", "ethical_sensitivity", "creative_generation", "causal_reasoning",
              "metacognition", "multilingual_reasoning", "abstract_reasoning", "temporal_planning"]
LENGTHS = [("short", 15), ("medium", 60), ("long", 150), ("very-long", None)]
BEGIN, END = "<!-- spread: begin -->\n", "<!-- spread: end -->\n"
# Scripts that put no blanks between words: kana, Chinese characters, Thai.
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")


def text_of(row):
    return row["text"] if "text" in row else "\n".join(turn["content"] for turn in row["messages"])


def words(text):
    """Words between blanks; two characters of a script without blanks count as one."""
    spaced = [word for word in UNSPACED.sub(" ", text).split() if any(c.isalnum() for c in word)]
    return len(UNSPACED.findall(text)) // 2 + len(spaced)


def length_of(text):
    return next(name for name, most in LENGTHS if most is None or words(text) <= most)


def read():
    rows = []
    for category in CATEGORIES:
        for line in (FOLDER / f"{category}.jsonl").read_text(encoding="utf-8").splitlines():
            rows.append(json.loads(line))
    return rows


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths]] + rows
    return "".join("| " + " | ".join(str(c).ljust(w) for c, w in zip(line, widths)) + " |\n" for line in lines)


def tables(rows):
    lengths = []
    for category in CATEGORIES:
        own = [row for row in rows if row["category"] == category]
        counts = collections.Counter(row["length"] for row in own)
        sizes = sorted(words(text_of(row)) for row in own)
        lengths.append([category] + [counts[name] for name, _ in LENGTHS] +
                       [sizes[0], int(statistics.median(sizes)), sizes[-1], len({row["topic"] for row in own}),
                        sum("messages" in row for row in own), sum(row["language"] != "en" for row in own)])
    head = ["category"] + [name for name, _ in LENGTHS] + ["least words", "median", "most", "topics", "conversations",
                                                           "not English"]
    languages = collections.Counter(row["language"] for row in rows)
    by_count = collections.defaultdict(list)
    for language, count in languages.items():
        by_count[count].append(language)
    shares = [[count, " ".join(sorted(by_count[count]))] for count in sorted(by_count, reverse=True)]
    return table(head, lengths) + "\n" + table(["prompts each", f"languages ({len(languages)}; mul: several)"], shares)


def problems(rows):
    found = []
    for row in rows:
        expected = length_of(text_of(row))
        if row["length"] != expected:
            found.append(f"{row['id']}: got length {row['length']}, expected {expected}")
        if not re.fullmatch("[a-z]{2,3}", row["language"]):
            found.append(f"{row['id']}: got language {row['language']}, expected an ISO 639 code")
        if not row["topic"].strip():
            found.append(f"{row['id']}: got no topic")
    for category in CATEGORIES:
        count = sum(row["category"] == category for row in rows)
        if count != 100:
            found.append(f"{category}: got {count} prompts, expected 100")
    return found


def main():
    rows = read()
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    readme = FOLDER / "README.md"
    shown = BEGIN + tables(rows) + END
    if mode == "--topics":
        for category in CATEGORIES:
            print(f"{category}: " + ", ".join(sorted({row["topic"] for row in rows if row["category"] == category})))
    elif mode == "--write":
        before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
        readme.write_text(before + shown + rest.split(END)[1], encoding="utf-8")
    elif mode == "--check":
        found = problems(rows)
        if shown not in readme.read_text(encoding="utf-8"):
            found.append("README.md shows other tables: run prompts/spread.py --write")
        print("\n".join(found) or f"{len(rows)} prompts, labels and tables as they should be")
        return 1 if found else 0
    else:
        print(tables(rows), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
