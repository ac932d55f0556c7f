"""deploy/llama2_wikitext.sh against a worker that answers what the test wants: its table, its checks, its refusals."""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "llama2_wikitext.sh"
LLAMA2 = {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 32, "ff": 11008, "vocab": 32000,
          "context_tokens": 4096, "release_format": ""}
# Stands for uaqf-worker: inspect prints model.json beside it, perplexity the figures that are there for the variant.
WORKER = """#!{python}
import json, math, pathlib, sys
here = pathlib.Path(__file__).parent
if sys.argv[1] == "inspect":
    if sys.argv[2] == "nosuch":
        sys.exit("error: model nosuch: no such file")
    print((here / "model.json").read_text())
    sys.exit(0)
flags = dict(zip(sys.argv[3:], sys.argv[4:]))
with open(here / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
ppl = json.loads((here / "ppl.json").read_text()).get(flags["--variant"])
if ppl is None:
    sys.exit("error: the calibration text has 7 tokens, expected at least 1024")
print(json.dumps({{"tokens": 341469, "windows": int(flags.get("--windows", 166)), "context": 2048, "window_nll": [],
                  "nll": math.log(ppl), "ppl": ppl}}))
"""


class Llama2Wikitext(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.worker = self.folder / "worker"
        self.worker.write_text(WORKER.format(python=sys.executable))
        self.worker.chmod(0o755)
        self.text = self.folder / "wiki.test.raw"
        self.text.write_text(" = A = \n words \n")
        # The script knows the official text by its digest: here a copy of the script knows this one.
        self.script = self.folder / "deploy" / "llama2_wikitext.sh"
        self.script.parent.mkdir()
        official = hashlib.sha256(self.text.read_bytes()).hexdigest()
        lines = SCRIPT.read_text().splitlines(keepends=True)
        self.assertEqual(sum(line.startswith("official=") for line in lines), 1)
        self.script.write_text("".join(f"official={official}\n" if l.startswith("official=") else l for l in lines))
        self.model(LLAMA2)
        self.figures({"fp16": 5.474, "rtn-w4-g128": 5.8, "gptq-w4-g128": 5.64})

    def model(self, facts):
        (self.folder / "model.json").write_text(json.dumps(facts))

    def figures(self, ppl):
        (self.folder / "ppl.json").write_text(json.dumps(ppl))

    def run_script(self, *arguments, model="llama"):
        command = ["bash", str(self.script), "--worker", str(self.worker), "--model", model, "--text", str(self.text)]
        return subprocess.run(command + list(arguments), capture_output=True, text=True, timeout=60)

    def measured(self):
        calls = self.folder / "calls"
        return [line.split("--variant ")[1].split()[0] for line in calls.read_text().splitlines()]

    def test_shows_losses_beside_what_was_published(self):
        done = self.run_script("--variants", "rtn-w4-g128,gptq-w4-g128")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[1], r"^fp16 +5\.4740 +\+0\.0000 +\+0\.00000 +5\.470")
        self.assertRegex(lines[3], r"^gptq-w4-g128 +5\.6400 +\+0\.1660 .* 5\.630 .*QServe, act-order")
        self.assertEqual(lines[-1], "Llama-2-7B: FP16 must be 5.47 within 0.01; it is")
        self.assertIn("--join-rows", (self.folder / "calls").read_text())

    def test_says_the_same_in_json(self):
        done = self.run_script("--variants", "fp16,rtn-w4-g128", "--output", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertTrue(document["comparable_with_published"] and document["fp16_as_expected"])
        self.assertEqual([row["variant"] for row in document["variants"]], ["fp16", "rtn-w4-g128"])
        self.assertAlmostEqual(document["variants"][1]["delta_perplexity"], 5.8 - 5.474)
        self.assertEqual(document["variants"][1]["published_llama2_7b"], 5.73)

    def test_stops_where_fp16_is_not_what_it_must_be(self):
        self.figures({"fp16": 5.49, "rtn-w4-g128": 5.8})
        done = self.run_script("--variants", "rtn-w4-g128")
        self.assertEqual(done.returncode, 1)
        self.assertIn("IT IS NOT", done.stdout)
        self.assertIn("no other figure would mean anything", done.stderr)
        self.assertEqual(self.measured(), ["fp16"])
        done = self.run_script("--variants", "rtn-w4-g128", "--go-on")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.measured()[-1], "rtn-w4-g128")

    def test_expects_nothing_of_another_model_text_or_part(self):
        self.figures({"fp16": 18.0})
        self.model({**LLAMA2, "layers": 30})
        done = self.run_script("--variants", "fp16")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not to be compared", done.stdout)
        self.assertIn("the model does not have Llama-2-7B's shape", done.stdout)
        self.model({**LLAMA2, "release_format": "Q4_0"})
        self.assertIn("come from a Q4_0 release", self.run_script("--variants", "fp16").stdout)
        self.model(LLAMA2)
        self.assertIn("not all windows were scored", self.run_script("--variants", "fp16", "--windows", "5").stdout)
        self.text.write_text("another")
        self.assertIn("the text is not the official", self.run_script("--variants", "fp16").stdout)

    def test_goes_on_past_a_variant_that_fails_and_says_why(self):
        done = self.run_script("--variants", "awq-w4-g128,gptq-w4-g128")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"awq-w4-g128 +error: the calibration text has 7 tokens")
        self.assertRegex(done.stdout, r"gptq-w4-g128 +5\.6400")

    def test_refuses_wrong_arguments_with_two(self):
        for arguments, said in ((["--nonsense"], "--nonsense"), (["--windows", "0"], "a number from 1 on"),
                                (["--context", "1"], "from 2 on"), (["--device", "gpu"], "cpu or cuda:N"),
                                (["--output", "csv"], "table or json"), (["--text", "/no/such"], "/no/such"),
                                (["--calibration-text", "/no/such"], "/no/such"), (["--model"], "without a value"),
                                (["--worker", "/no/such"], "expected a program")):
            done = self.run_script(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(said, done.stderr)
            self.assertIn("--help", done.stderr)
        self.assertEqual(self.run_script(model="nosuch").returncode, 2)
        self.assertIn("no such file", self.run_script(model="nosuch").stderr)

    def test_helps(self):
        done = subprocess.run(["bash", str(SCRIPT), "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertIn("--calibration-text", done.stdout)
        self.assertIn("5.47", done.stdout)
        self.assertNotIn("set -", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
