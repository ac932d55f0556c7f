"""Writes tests/worker/model/gguf_blocks.json: raw blocks of each GGUF tensor type and their exact FP32 values.

The values are those of the `gguf` package (pip install gguf==0.19.0 numpy). Run it again only to add a type:
    python tests/oracle/gguf_blocks.py > tests/worker/model/gguf_blocks.json
"""

import json

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

BLOCKS = 3
# Byte offsets of the FP16 numbers in a block; random bytes there would mostly be huge, infinite or NaN.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q4_K": [0, 2], "Q6_K": [208]}


def blocks(name, rng):
    _, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    raw = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for offset in HALVES[name]:
        # An ordinary, a negative and a subnormal scale.
        scales = np.array([0.0123, -0.37, 3e-6], dtype=np.float16)
        raw[:, offset : offset + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
    return raw


def main():
    rng = np.random.default_rng(20240607)
    cases = {}
    for name in HALVES:
        raw = blocks(name, rng)
        values = dequantize(raw, GGMLQuantizationType[name]).astype("<f4")
        cases[name] = {"blocks": raw.tobytes().hex(), "values": values.tobytes().hex()}
    halves = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xFBFF, 0x7C00, 0xFC00], dtype="<u2")
    cases["F16"] = {"blocks": halves.tobytes().hex(), "values": halves.view("<f2").astype("<f4").tobytes().hex()}
    brains = np.array([0x0000, 0x8000, 0x0001, 0x3F80, 0xC2F7, 0x7F7F, 0x7F80], dtype="<u2")
    values = (brains.astype("<u4") << 16).view("<f4")
    cases["BF16"] = {"blocks": brains.tobytes().hex(), "values": values.tobytes().hex()}
    print(json.dumps(cases, indent=1))


main()
