"""Writes tests/data/smollm2_oracle.json: what SmolLM2-135M-Instruct says in transformers, in float32.

The model is the same GGUF file that the worker reads, dequantized by the gguf package. For each prompt: its ids, 64
greedy ids (EOS is generated like any other token and does not end the run) and the margin between the two largest
logits at every step. For ten windows of 512 tokens of deploy/demo/prose.txt: ids and mean NLL in nats over the 511
predicted tokens.
"""
import json
import os
import pathlib

import jinja2
import torch
import transformers

import smollm2_tokenizer

STEPS = 64
WINDOWS = 10
WINDOW = 512

PLAIN = [
    "The capital of France is",
    "Once upon a time, in a village at the foot of a glacier, there lived a clockmaker who",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Question: A tray holds 12 eggs. How many eggs are on 37 trays?\nAnswer: 12 * 37 =",
    "Water boils at 100 degrees Celsius because",
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55,",
    "Dear Dr. Okafor,\n\nThank you for your letter of 14 March 1987. I am writing to",
    "La lumière du matin entrait par la fenêtre, et",
]
CHAT = [
    "What is gravity?",
    "List five uses for an empty glass jar.",
    "A shop sells pens at $1.25 each. How much do 16 pens cost? Show your steps.",
    "Write a short poem about a bridge in the rain.",
    "Why do leaves change colour in autumn?",
    "Which of these is a mammal: trout, robin, dolphin, or frog? Explain in one sentence.",
    "My neighbour plays loud music at night. How can I raise this with her politely?",
    "Explain what a hash table is to a ten-year-old.",
    "Translate into Spanish: \"Where is the nearest train station?\"",
    "Put these in order: lunch, sunrise, midnight, breakfast, dinner.",
    "If all bloops are razzies and all razzies are lazzies, are all bloops lazzies?",
]
CONVERSATION = [
    {"role": "system", "content": "You are a terse assistant that answers in one sentence."},
    {"role": "user", "content": "Name a river in Africa."},
    {"role": "assistant", "content": "The Nile is a river in Africa."},
    {"role": "user", "content": "And one in South America?"},
]


def prompts(template):
    environment = jinja2.Environment()
    render = environment.from_string(template).render
    for text in PLAIN:
        yield text
    for text in CHAT:
        yield render(messages=[{"role": "user", "content": text}], add_generation_prompt=True)
    yield render(messages=CONVERSATION, add_generation_prompt=True)


@torch.inference_mode()
def greedy(model, ids):
    output, margins, cache = [], [], None
    step = torch.tensor([ids])
    for _ in range(STEPS):
        result = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        top = torch.topk(result.logits[0, -1], 2)
        output.append(int(top.indices[0]))
        margins.append(round(float(top.values[0] - top.values[1]), 5))
        step = top.indices[:1].view(1, 1)
    return output, margins


@torch.inference_mode()
def mean_nll(model, ids):
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])))


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    tokenizer, template = smollm2_tokenizer.load()
    path = smollm2_tokenizer.model_path()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32, attn_implementation="eager")
    model.eval()

    result = {"model": os.path.basename(path), "transformers": transformers.__version__, "torch": torch.__version__,
              "prompts": [], "windows": []}
    for text in prompts(template):
        ids = tokenizer.encode(text).ids
        output, margins = greedy(model, ids)
        result["prompts"].append({"text": text, "prompt_ids": ids, "ids": output, "margins": margins,
                                  "output": tokenizer.decode(output, skip_special_tokens=False)})
        print(repr(text[-40:]), "->", repr(result["prompts"][-1]["output"][:70]), min(margins), flush=True)
    prose = tokenizer.encode((root / "deploy/demo/prose.txt").read_text()).ids
    for begin in range(0, WINDOWS * WINDOW, WINDOW):
        ids = prose[begin:begin + WINDOW]
        assert len(ids) == WINDOW
        result["windows"].append({"ids": ids, "nll": mean_nll(model, ids)})
        print("nll", result["windows"][-1]["nll"], flush=True)

    lines = [f'"{key}": {json.dumps(result[key])}' for key in ("model", "transformers", "torch")]
    for key in ("prompts", "windows"):
        rows = ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in result[key])
        lines.append(f'"{key}": [\n{rows}\n]')
    (root / "tests/data/smollm2_oracle.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
