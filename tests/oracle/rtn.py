"""Writes tests/worker/quantize/rtn_codes.json: integer codes and scales of round-to-nearest, METHODS.md 3.1.

Independent of the C++: numpy float32, as smoothquant's fake_quant.py does it (weight.abs().max().clamp(min=1e-5) / q_max,
then round half to even of weight / scale). Run it again only to add a case:
    python tests/oracle/rtn.py > tests/worker/quantize/rtn_codes.json
"""

import json

import numpy as np

ROWS, COLUMNS = 6, 256
VARIANTS = {
    "rtn-w8": (8, "tensor", 0), "rtn-w4": (4, "tensor", 0),
    "rtn-w8-channel": (8, "channel", 0), "rtn-w4-channel": (4, "channel", 0),
    "rtn-w4-g128": (4, "group", 128), "rtn-w4-g64": (4, "group", 64), "rtn-w4-g32": (4, "group", 32),
    "rtn-w8a8": (8, "tensor", 0), "rtn-w4a8": (4, "tensor", 0),
}


def matrices():
    rng = np.random.default_rng(5)
    normal = rng.normal(0, 0.02, (ROWS, COLUMNS))
    outlier = normal.copy()
    outlier[2, 77] = -3.5
    ties = rng.integers(-300, 301, (ROWS, COLUMNS)) / 1024.0  # many lie half-way between two codes
    edge = np.zeros((ROWS, COLUMNS))
    edge[1] = 6e-8  # a subnormal in FP16, far below the smallest scale
    edge[2, 5] = 65504.0
    edge[3] = rng.normal(0, 1e-6, COLUMNS)
    edge[4] = np.where(np.arange(COLUMNS) % 2, 0.5, -0.5)
    return {"normal": normal, "outlier": outlier, "ties": ties, "edge": edge}


def quantize(weights, bits, granularity, group):
    q_max = np.float32(2 ** (bits - 1) - 1)
    shape = {"tensor": (1, -1), "channel": (ROWS, -1), "group": (-1, group or 1)}[granularity]
    parts = weights.reshape(shape)
    scales = np.maximum(np.abs(parts).max(axis=1, keepdims=True), np.float32(1e-5)) / q_max
    assert scales.dtype == np.float32
    if granularity == "group":
        scales = scales.astype(np.float16).astype(np.float32)
    codes = np.rint(parts / scales)
    assert np.abs(codes).max() <= q_max
    return codes.astype(np.int8).reshape(weights.shape), scales.reshape(-1)


def main():
    cases = []
    for name, values in matrices().items():
        weights = values.astype(np.float16).astype(np.float32)
        case = {"name": name, "rows": ROWS, "columns": COLUMNS,
                "weights": weights.astype("<f2").tobytes().hex(), "variants": {}}
        for variant, (bits, granularity, group) in VARIANTS.items():
            codes, scales = quantize(weights, bits, granularity, group)
            case["variants"][variant] = {"codes": codes.tobytes().hex(), "scales": scales.astype("<f4").tobytes().hex()}
        cases.append(case)
    print(json.dumps(cases, indent=1))


main()
