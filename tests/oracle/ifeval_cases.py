#!/usr/bin/env python3
"""Writes tests/data/ifeval_oracle.json: verdicts of lm-eval's IFEval checks on responses of our own.

Run by hand: pip install lm_eval==0.4.9 --no-deps langdetect nltk; then python3 tests/oracle/ifeval_cases.py
Two things are left out, since they need data that nltk downloads: the number of sentences, and cutting a text into
sentences before words (each response is cut as one). "?" stands where langdetect was asked about fewer than eight words:
it then answers by chance.
"""
import json
import pathlib
import random
import sys
import types

import langdetect
import nltk

# The package's own __init__ files want the whole harness; the checks need only these three modules.
for name in ("lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval"):
    spec = next(p for p in map(pathlib.Path, sys.path) if (p / "lm_eval/tasks/ifeval").is_dir())
    module = types.ModuleType(name)
    module.__path__ = [str(spec / name.replace(".", "/"))]
    sys.modules[name] = module
nltk.download = lambda *a, **k: True
from lm_eval.tasks.ifeval import utils  # noqa: E402

langdetect.DetectorFactory.seed = 0
split_words = nltk.word_tokenize
nltk.word_tokenize = lambda text: split_words(text, preserve_line=True)

INSTRUCTIONS = [
    ("change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 2}),
    ("change_case:capital_word_frequency", {"capital_relation": "less than", "capital_frequency": 4}),
    ("change_case:english_capital", {}),
    ("change_case:english_lowercase", {}),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Tell me about the river. Be brief."}),
    ("combination:two_responses", {}),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}),
    ("detectable_format:constrained_response", {}),
    ("detectable_format:json_format", {}),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2}),
    ("detectable_format:multiple_sections", {"section_spliter": "Day", "num_sections": 1}),
    ("detectable_format:number_bullet_lists", {"num_bullets": 3}),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}),
    ("detectable_format:title", {}),
    ("keywords:existence", {"keywords": ["river", "stone"]}),
    ("keywords:existence", {"keywords": ["the"]}),
    ("keywords:forbidden_words", {"forbidden_words": ["stone", "cat"]}),
    ("keywords:frequency", {"relation": "at least", "keyword": "river", "frequency": 2}),
    ("keywords:frequency", {"relation": "less than", "keyword": "the", "frequency": 3}),
    ("keywords:letter_frequency", {"let_relation": "at least", "letter": "e", "let_frequency": 12}),
    ("keywords:letter_frequency", {"let_relation": "less than", "letter": "Q", "let_frequency": 2}),
    ("language:response_language", {"language": "en"}),
    ("language:response_language", {"language": "de"}),
    ("language:response_language", {"language": "hi"}),
    ("length_constraints:nth_paragraph_first_word", {"first_word": "the", "num_paragraphs": 3, "nth_paragraph": 2}),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 3}),
    ("length_constraints:number_words", {"relation": "at least", "num_words": 20}),
    ("length_constraints:number_words", {"relation": "less than", "num_words": 30}),
    ("punctuation:no_comma", {}),
    ("startend:end_checker", {"end_phrase": "Is there anything else?"}),
    ("startend:quotation", {}),
]

RESPONSES = [
    "The river runs past the old stone mill, and the river is cold in the morning. Children play there every day.",
    "THE RIVER IS COLD AND DEEP. WE WALK ALONG THE WATER EVERY MORNING BEFORE THE SUN COMES UP OVER THE TOWN.",
    "we walk along the river every morning before the sun comes up and nobody says a word until we are home",
    "Tell me about the river. Be brief.\n\nIt is long, and it is slow.",
    "Here it is:\ntell me about the RIVER. be brief.\nIt is long.\nIs there anything else?",
    "First answer: go by train.\n******\nSecond answer: go by boat.",
    "******\nOne.\n******\nTwo.\n******\n",
    "Same\n******\nSame",
    "Dear [name],\nplease meet me at [place] on [day].\n\nP.S. Bring the map, will you?",
    "Dear friend,\ncome soon.\n\nP. S. I forgot.\nP.P.S. And bring bread!",
    "My answer is no.",
    "**My answer is maybe.** I would have to think about it more.",
    '```json\n{"river": {"length": 12, "names": ["a", "b"]}}\n```',
    '{"the river is long and the water is cold": 1,}',
    "[1, 2, 3]",
    "SECTION 1\nThe plan.\n\nSECTION 2\nThe cost, in euro.\n\nDay 1 begins here",
    "* one thing\n* another thing\n* a third, with *stars* inside\n",
    "- one\n- two\n\n* three\n** not this\nIs there anything else?",
    "<<The River>>\nIt has *two banks* and **one bed** and ** **.",
    "<< >>\n<<>>\n*  * and *real*",
    '"All of this is quoted, and it ends here."',
    ' "A quote."  ',
    '"',
    "One paragraph here.\n***\nAnother one.",
    "***\nFirst.\n***\n\n***\nThird.",
    "First.***Second. *** Third.",
    "Intro words here.\n\n\"The\" second paragraph begins so.\n\nAnd the third one ends.",
    "Intro.\n\n'the, second.\n\n\n\nThird.",
    "Der Fluss ist lang und kalt, und die Kinder spielen jeden Tag am Ufer, weil das Wasser dort nicht tief ist.",
    "नदी बहुत लंबी है और पानी ठंडा है। बच्चे हर दिन किनारे पर खेलते हैं क्योंकि वहाँ पानी गहरा नहीं है।",
    "12345 67890!!",
    "",
    "   \n ",
    "*Note:*\nthe river is quiet and the town is asleep while the lamps burn low along the bridge\n*end*",
    "NASA and the ESA met in PARIS; U.S. officials didn't come. CAN'T WAIT, said the A-TEAM.",
    "Sure, here is the poem.\nthe river sleeps and nobody knows where the water goes when the night is long\nHope it helps!",
    "It ends with a question. \"Is there anything else?\"",
    "é È ñ: naïve café, coöperate. The river and the stone and the cat.",
    "Stones are not a stone's throw away; concatenate, cat!",
    "Line one\r\nLine two, with [a\nbroken] placeholder and [one] good.",
]


def main():
    random.seed(0)
    out = {"instructions": [], "responses": RESPONSES, "strict": [], "loose": []}
    for name, kwargs in INSTRUCTIONS:
        out["instructions"].append({"id": name, "kwargs": kwargs})
        example = utils.InputExample(key=0, instruction_id_list=[name], prompt="", kwargs=[kwargs])
        verdicts = {"strict": "", "loose": ""}
        by_language = name.startswith("language:") or name.startswith("change_case:english")
        for response in RESPONSES:
            if by_language and 0 < len(response.split()) < 8:
                verdicts = {level: text + "?" for level, text in verdicts.items()}
                continue
            for level, check in (("strict", utils.test_instruction_following_strict),
                                 ("loose", utils.test_instruction_following_loose)):
                verdicts[level] += "1" if check(example, response).follow_all_instructions else "0"
        for level, text in verdicts.items():
            out[level].append(text)
    path = pathlib.Path(__file__).parents[1] / "data/ifeval_oracle.json"
    path.write_text(json.dumps(out, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{len(INSTRUCTIONS)} instructions x {len(RESPONSES)} responses -> {path}")


if __name__ == "__main__":
    main()
