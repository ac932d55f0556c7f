"""Writes tests/data/bpe_oracle.json: small tokenizers of every kind that models use, and what Hugging Face's own
tokenizers package makes of difficult texts with them.

The vocabularies are trained here, on deploy/demo/prose.txt and the texts below, so nothing of anybody's is copied.
For each text: `ids` with the text of special tokens read as these tokens, `plain` with it read as ordinary text.
"""
import json
import pathlib
import random

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT4_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + GPT4_TAIL
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + GPT4_TAIL
MARK = "\u2581"

TEXTS = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", " a", "a ", "  a  b   c    ", "a\n\n\nb", "a \n b", "a\r\nb\r\n\r\nc", "\n\n  x",
    "    indented\n\tand tabbed\n        twice", "trailing   ", "trailing\n   ", "one\u00a0space\u3000wide\u2003em\u200bzero",
    "\u180evowel\u180eseparator", "\u0085next\u0085line", "line\u2028separator\u2029paragraph", "a\u000bb\u000cc\u001fd",
    "don't DON'T I'll I'LL we've they'RE he'd 'tis it'\u017f K'\u212a", "''s 's's s'", "can\u2019t",
    "0 7 42 123 1234 12345 1234567890 3.14159 1,000,000 -5 +6 1e-9 0x1F", "2026-11-22T18:30:00Z", "a1b22c333d4444",
    "\u0663\u0664\u0665 \u0969\u096a \u00b2\u00b3 \u00bd \u2167 \u2460\u2461 \u4e09 \uff11\uff12", "x\u00b2+y\u00b2=z\u00b2",
    "caf\u00e9 cafe\u0301 na\u00efve nai\u0308ve Z\u00fcrich \u00c5ngstr\u00f6m \u212b",
    "a\u0323\u0307 a\u0307\u0323 q\u0307\u0323 \u1e69 s\u0323\u0307", "\u1112\u1161\u11ab\u1100\u1173\u11af \ud55c\uae00 \uac00\u11a8",
    "\u0958 \u0929 \u0340\u0341 \u2126 \ufb01 \uff21", "e" + "\u0301" * 12,
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3002\u4e2d\u6587\uff0c\u6ca1\u6709\u7a7a\u683c\u3002\ud55c\uad6d\uc5b4",
    "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0442\u0435\u043a\u0441\u0442", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940 \u1019\u103c\u1014\u103a\u1019\u102c",
    "\U0001f642\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1ee \u2764\ufe0f", "\U00020000\U0010ffff\ue000\ufffd\ufeff",
    "\x00nul\x01\x02\x03 bell\x07 escape\x1b[0m del\x7f",
    "def f(x):\n    return x**2  # comment\n\nclass A(B):\n\tpass\n", "if(a&&b||!c){x[i]->y=\"z\\n\";}", "<html><body class='x'>&amp;</body></html>",
    "http://example.org/a/b?c=d&e=f#g user@example.org C:\\temp\\x", "!!! ??? ... --- *** ___ ### $$$ %%% ^^^ ((( )))",
    "!\n!\r\n! \n?\n\n", ".\n\n\n.", "$ 5 \u20ac5 \u00a35 5%", "CamelCase snake_case kebab-case SCREAMING", "a" * 70 + " " + "ab" * 40,
    " " * 70 + "x", "\n" * 20, "-" * 80, "1" * 33,
    "<|im_start|>user\nHello<|im_end|>\n", "x<|im_end|>y", "<|im_end|><|im_end|>", "<|im_end", "|im_end|>", "<|im_end|> ", " <|im_end|>",
    "<|endoftext|>", "a <mask> b", "a  <mask>  b", "<mask>", "call <tool_call>f</tool_call> end", "<s>[INST] x [/INST]</s>", "<unk>", "<0x41>",
    MARK, MARK + "a " + MARK, "a" + MARK + "b", "The ferry crossed the river, and the light counted.", "the the  the\nthe\tthe",
]
POOL = ["a", "b", "th", "e", "S", "s", "'", "'s", "'LL", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "1", "23", "\u0663", "\u00bd", ".", ",",
        "!?", "(", "\u2019", "\u00e9", "e\u0301", "\u0323", "\u0307", "\u4e2d", "\u1100", "\u1161", "\u11a8", "\uac00", "\U0001f642", "\u200d",
        "\u0000", "\u0130", "\u017f", "_", MARK, "<|im_end|>", "<mask>", "<tool_call>"]


def random_texts(count, seed):
    generator = random.Random(seed)
    return ["".join(generator.choices(POOL, k=generator.randint(1, 24))) for _ in range(count)]


def corpus():
    prose = pathlib.Path(__file__).resolve().parents[2].joinpath("deploy/demo/prose.txt").read_text()
    return [prose[:8000]] + TEXTS * 4


def train_byte_level(pre_tokenizer, normalizer=None, size=900):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    # Three bytes are left out of the alphabet: real vocabularies have such holes.
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"\u0106", "\u0113", "\u00f1"})
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return tokenizer


def split(expression):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train_llama3():
    tokenizer = train_byte_level(split(LLAMA3))
    whole = json.loads(tokenizer.to_str())
    whole["model"]["ignore_merges"] = True
    # A token that no merge leads to: only ignore_merges finds it.
    whole["model"]["vocab"]["\u0120lighthouse"] = max(token["id"] for token in whole["added_tokens"]) + 1
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(whole))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.token_to_id("<|endoftext|>"))])
    return tokenizer


def train_character_level(metaspace):
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="first", split=True)
        tokenizer.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme="first")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
        tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(),
                                               decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"]
    # With Metaspace the byte pieces are left out, and what is unknown becomes <unk>.
    pieces = [] if metaspace else [f"<0x{byte:02X}>" for byte in range(256)]
    # Whole texts without spaces cut nothing: the training text is cut into words, as SentencePiece does.
    words = [MARK + word for text in corpus() for word in text.split(" ")]
    trainer = trainers.BpeTrainer(vocab_size=1000, min_frequency=2, special_tokens=special + pieces, limit_alphabet=70,
                                  show_progress=False)
    plain = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    plain.train_from_iterator(words, trainer)
    trained = json.loads(plain.to_str())
    whole = json.loads(tokenizer.to_str())
    whole["model"]["vocab"] = trained["model"]["vocab"]
    whole["model"]["merges"] = trained["model"]["merges"]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(whole))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special[1:]])
    # Sought in the normalized text, where its own text is normalized as well.
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def cases(tokenizer):
    for text in TEXTS + random_texts(120, 20):
        ids = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = False
        yield {"text": text, "ids": ids, **({} if plain == ids else {"plain": plain})}


def main():
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    kinds = {
        "gpt-2": train_byte_level(byte_level),
        "smollm": train_byte_level(
            pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])),
        "qwen2": train_byte_level(split(QWEN2), normalizers.NFC()),
        "llama-bpe": train_llama3(),
        "llama-2": train_character_level(metaspace=False),
        "metaspace": train_character_level(metaspace=True),
    }
    lines = []
    for name, tokenizer in kinds.items():
        rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases(tokenizer))
        whole = json.dumps(json.loads(tokenizer.to_str()), separators=(",", ":"))
        lines.append(f'"{name}": {{"tokenizer": {whole},\n"cases": [\n{rows}\n]}}')
    root = pathlib.Path(__file__).resolve().parents[2]
    (root / "tests/data/bpe_oracle.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
