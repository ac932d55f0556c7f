"""Writes tests/worker/quantize/calibrated_codes.json: what GPTQ, AWQ, SmoothQuant and ZeroQuant make of random layers,
METHODS.md 3.2 to 3.5.

Independent of the C++: numpy float64 and, for GPTQ, the elimination that its Cholesky factor stands for (after each
column the inverse of the moments loses that row and column). Run it again only to add a case:
    python tests/oracle/calibrated.py > tests/worker/quantize/calibrated_codes.json
"""

import json

import numpy as np

ROWS, COLUMNS, TOKENS = 12, 192, 224  # a block of GPTQ's columns ends inside


def half(x):
    return np.asarray(x, np.float32).astype(np.float16).astype(np.float64)


def hexed(x):
    """FP16 bits, little endian."""
    return np.asarray(x, np.float16).tobytes().hex()


def layer(seed):
    rng = np.random.default_rng(seed)
    mix = rng.normal(0, 1, (COLUMNS, COLUMNS)) / np.sqrt(COLUMNS) + np.eye(COLUMNS)
    x = rng.normal(0, 1, (TOKENS, COLUMNS)) @ mix * np.exp(rng.normal(0, 0.7, COLUMNS))
    weight = half(rng.standard_t(5, (ROWS, COLUMNS)) * 0.02)
    return weight, half(x)  # short in JSON, and the same for both


def grid(part, bits, rule, halves):
    """(scale, zero) of each row of `part`; zero counts from the middle of the codes."""
    steps, middle = 2 ** bits - 1, 2 ** (bits - 1)
    low, high = part.min(1, keepdims=True), part.max(1, keepdims=True)
    if rule == "sym":
        scale, zero = 2 * np.maximum(-low, high) / steps, None
    elif rule == "gptq":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        scale = (high - low) / steps
    else:
        scale = np.maximum(high - low, 1e-5) / steps
    scale = half(scale) if halves else np.asarray(scale, np.float32).astype(np.float64)
    if rule == "gptq":
        zero = np.rint(-low / scale) - middle
    elif rule == "awq":
        zero = np.clip(-np.rint(low / scale), 0, steps) - middle
    return scale, np.zeros_like(scale) if zero is None else zero


MARGINS = []  # how far each quotient is from half-way between two codes


def encode(part, scale, zero, bits):
    MARGINS.append(np.abs(part / scale - np.floor(part / scale) - 0.5).min())
    return np.clip(np.rint(part / scale) + zero, -2 ** (bits - 1), 2 ** (bits - 1) - 1)


def gptq(weight, x, bits, group, rule, act_order, static, damp=0.01):
    w = weight.copy()
    moments = x.T @ x / TOKENS
    order = np.arange(COLUMNS)
    size = group or COLUMNS
    halves = group > 0 or rule == "gptq"
    static_grids = [grid(w[:, g:g + size], bits, rule, halves) for g in range(0, COLUMNS, size)]
    if act_order:
        order = np.argsort(-np.diag(moments), kind="stable")
        w, moments = w[:, order], moments[order][:, order]
    moments = moments + np.eye(COLUMNS) * damp * np.mean(np.diag(moments))
    inverse = np.linalg.inv(moments)
    codes = np.zeros_like(w)
    grids = []
    for i in range(COLUMNS):
        if static or not group:
            scale, zero = static_grids[order[i] // size]
        elif i % size == 0:
            grids.append(grid(w[:, i:i + size], bits, rule, halves))
            scale, zero = grids[-1]
        column = w[:, i:i + 1]
        codes[:, i:i + 1] = encode(column, scale, zero, bits)
        error = (column - (codes[:, i:i + 1] - zero) * scale) / inverse[i, i]
        w[:, i:] -= error * inverse[i:i + 1, i:]
        inverse = inverse - np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    gathered = act_order and group and not static
    if act_order and not gathered:
        codes = codes[:, np.argsort(order)]
    grids = grids or static_grids
    return {"codes": codes.astype(int).tolist(), "scales": np.hstack([g[0] for g in grids]).tolist(),
            "zeros": np.hstack([g[1] for g in grids]).astype(int).tolist(),
            "order": order.tolist() if gathered else []}


def awq_round(w, group, bits=4):
    parts = w.reshape(ROWS * COLUMNS // group, group)
    scale, zero = grid(parts, bits, "awq", True)
    codes = encode(parts, scale, zero, bits)
    return ((codes - zero) * scale).reshape(w.shape), codes.reshape(w.shape), scale, zero


def awq(weight, x, group):
    mean = np.abs(x).mean(0)
    losses, all_scales = [], []
    for step in range(20):
        scales = np.maximum(mean ** (step / 20), 1e-4)
        scales = scales / np.sqrt(scales.max() * scales.min())
        rounded = awq_round(weight * scales, group)[0] / scales
        losses.append(float((((rounded - weight) @ x.T) ** 2).mean()))
        all_scales.append(scales)
    best = int(np.argmin(losses))
    # Clipping, on a layer with all tokens looked at.
    parts, xs = weight.reshape(ROWS, -1, group), x.reshape(TOKENS, -1, group)
    absmax = np.abs(parts).max(-1, keepdims=True)
    least, limit = np.full(absmax.shape, np.inf), absmax.copy()
    for step in range(10):
        most = absmax * (1 - step / 20)
        clipped = np.clip(parts, -most, most)
        difference = awq_round(clipped.reshape(ROWS, COLUMNS), group)[0].reshape(parts.shape) - parts
        error = (np.einsum("tgk,rgk->rgt", xs, difference) ** 2).mean(-1, keepdims=True)
        limit = np.where(error < least, most, limit)
        least = np.minimum(error, least)
    _, codes, scale, zero = awq_round(weight, group)
    return {"best_step": best, "losses": losses, "scales": all_scales[7].tolist(), "clip": limit[..., 0].tolist(),
            "codes": codes.astype(int).tolist(), "group_scales": scale.reshape(ROWS, -1).tolist(),
            "zeros": zero.astype(int).reshape(ROWS, -1).tolist()}


def smoothquant(weight, x, alpha):
    absmax = np.maximum(np.abs(x).max(0), 1e-5)
    return np.maximum(absmax ** alpha / np.maximum(np.abs(weight).max(0), 1e-5) ** (1 - alpha), 1e-5).tolist()


def zeroquant(weight, groups):
    """DeepSpeed's grouping: the row-major matrix cut into `groups` runs of whole rows."""
    parts = weight.reshape(groups, -1)
    scale = np.asarray(np.abs(parts).max(1, keepdims=True) / 128, np.float32).astype(np.float64)
    codes = np.clip(np.rint(parts / scale), -128, 127)
    return {"codes": codes.reshape(weight.shape).astype(int).tolist(),
            "scales": np.repeat(scale[:, 0], ROWS // groups).tolist()}


SEED = 21  # one whose quotients are all further from a tie than FP32 errs

GPTQ = {
    "w4": (4, 0, "sym", False, False), "w8": (8, 0, "sym", False, False), "w4 span": (4, 0, "gptq", False, False),
    "w4-g64": (4, 64, "sym", False, False), "w4-g64 span": (4, 64, "gptq", False, False),
    "w4-g64 act-order": (4, 64, "sym", True, False),
    "w4-g64 act-order static": (4, 64, "sym", True, True), "w4 act-order": (4, 0, "sym", True, False),
}


def main():
    weight, x = layer(SEED)
    out = {"weight": hexed(weight), "x": hexed(x), "rows": ROWS, "columns": COLUMNS, "tokens": TOKENS,
           "gptq": {name: gptq(weight, x, *how) for name, how in GPTQ.items()},
           "awq": awq(weight, x, 64),
           "smoothquant": {str(alpha): smoothquant(weight, x, alpha) for alpha in (0.5, 0.85)},
           "zeroquant": zeroquant(weight, 6)}
    assert min(MARGINS[:len(GPTQ) * COLUMNS]) > 1e-5, min(MARGINS)
    print(json.dumps(out, separators=(",", ":")))


if __name__ == "__main__":
    main()
