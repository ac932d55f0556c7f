"""Writes tests/worker/model/quantized_layers.json: random linear layers as GPTQ, AWQ and compressed-tensors releases
store them, with the weights that they mean.

Packing and meaning are written here once more, element by element, from the formats' descriptions (METHODS, section 6),
so that a mistake of the readers is not repeated. Run it again only to add a case:
    python tests/oracle/quantized_layers.py > tests/worker/model/quantized_layers.json
`--check` instead unpacks the same words with PyPI's packages (torch, compressed-tensors==0.20.0, and autoawq==0.2.9's
packing_utils.py, whose path follows) and compares; the layers of auto-gptq==0.7.1 are written out below, since they
unpack in their forward pass only.
"""

import json
import sys

import numpy as np

OUT, IN = 16, 96
AWQ_COLUMN_OF_NIBBLE = [0, 2, 4, 6, 1, 3, 5, 7]


def pack_words(codes, bits, order=None):
    """Unsigned codes [n] to words, first code lowest; `order` says which code of a word each place holds."""
    per = 32 // bits
    codes = list(codes) + [0] * (-len(codes) % per)
    words = []
    for first in range(0, len(codes), per):
        word = 0
        for place in range(per):
            word |= int(codes[first + (order[place] if order else place)]) << (bits * place)
        words.append(word)
    return words


def tensor(dtype, values):
    kinds = {"I32": "<u4", "F16": "<f2", "I8": "i1", "I64": "<i8", "F32": "<f4"}
    if dtype == "BF16":
        array = (np.asarray(values, dtype="<f4").view("<u4") >> 16).astype("<u2")
    else:
        array = np.asarray(values).astype(kinds[dtype])
    return {"dtype": dtype, "shape": list(array.shape), "bytes": array.tobytes().hex()}


def bf16(values):
    return (np.asarray(values, dtype="<f4").view("<u4") & 0xFFFF0000).view("<f4")


def draw(rng, bits, group, g_idx=None, symmetric=False, scale_type=np.float16):
    groups = -(-IN // group)
    g_idx = np.arange(IN) // group if g_idx is None else g_idx
    codes = rng.integers(0, 1 << bits, (OUT, IN))
    zeros = np.full((OUT, groups), 1 << (bits - 1)) if symmetric else rng.integers(0, 1 << bits, (OUT, groups))
    scales = rng.uniform(0.001, 0.02, (OUT, groups)).astype(np.float16 if scale_type is np.float16 else np.float32)
    return codes, zeros, scales, g_idx


def weights(codes, zeros, scales, g_idx):
    values = np.zeros((OUT, IN), dtype=np.float32)
    for row in range(OUT):
        for col in range(IN):
            group = g_idx[col]
            steps = int(codes[row, col]) - int(zeros[row, group])
            values[row, col] = np.float32(scales[row, group]) * np.float32(steps)
    return values


def case(config, tensors, codes, half, values):
    return {
        "config": config,
        "tensors": tensors,
        "rows": OUT,
        "columns": IN,
        "codes": (codes.astype(np.int64) - half).astype("i1").tobytes().hex(),
        "values": values.astype("<f4").tobytes().hex(),
    }


def gptq(rng, bits, group, version, act_order=False, symmetric=False):
    size = IN if group == -1 else group
    g_idx = rng.permutation(np.arange(IN) // size) if act_order else None
    codes, zeros, scales, g_idx = draw(rng, bits, size, g_idx, symmetric)
    stored = zeros if version == "gptq_v2" else (zeros - 1) % (1 << bits)
    tensors = {
        "qweight": tensor("I32", np.array([pack_words(codes[o], bits) for o in range(OUT)]).T),
        "qzeros": tensor("I32", [pack_words(stored[:, g], bits) for g in range(zeros.shape[1])]),
        "scales": tensor("F16", scales.T),
        "g_idx": tensor("I32", g_idx),
    }
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act_order, "sym": symmetric,
              "checkpoint_format": version}
    return case(config, tensors, codes, 1 << (bits - 1), weights(codes, zeros, scales, g_idx))


def awq(rng, group):
    codes, zeros, scales, g_idx = draw(rng, 4, group)
    tensors = {
        "qweight": tensor("I32", [pack_words(codes[:, i], 4, AWQ_COLUMN_OF_NIBBLE) for i in range(IN)]),
        "qzeros": tensor("I32", [pack_words(zeros[:, g], 4, AWQ_COLUMN_OF_NIBBLE) for g in range(zeros.shape[1])]),
        "scales": tensor("F16", scales.T),
    }
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}
    return case(config, tensors, codes, 8, weights(codes, zeros, scales, g_idx))


def compressed(rng, form, bits, strategy, group=None, symmetric=True, act_order=False, scale_dtype="F16", w8a8=False):
    size = group or IN
    g_idx = rng.permutation(np.arange(IN) // size) if act_order else None
    codes, zeros, scales, g_idx = draw(rng, bits, size, g_idx, symmetric, None if scale_dtype != "F16" else np.float16)
    if scale_dtype == "BF16":
        scales = bf16(scales)
    half = 1 << (bits - 1)
    packed = form == "pack-quantized"
    if strategy == "tensor":
        scales = np.full_like(scales, scales[0, 0])
    stored_scales = scales[0, :1] if strategy == "tensor" else scales
    tensors = {"weight_scale": tensor(scale_dtype, stored_scales)}
    if packed:
        tensors["weight_packed"] = tensor("I32", [pack_words(codes[o], bits) for o in range(OUT)])
        tensors["weight_shape"] = tensor("I64", [OUT, IN])
    else:
        tensors["weight"] = tensor("I8", codes - half)
    if not symmetric:
        columns = np.array([pack_words(zeros[:, g], bits) for g in range(zeros.shape[1])]).T
        tensors["weight_zero_point"] = tensor("I32", columns) if packed else tensor("I8", zeros - half)
    if act_order:
        tensors["weight_g_idx"] = tensor("I32", g_idx)
    scheme = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": strategy, "dynamic": False,
              "group_size": group, "actorder": "group" if act_order else None}
    token = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    config = {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": scheme,
                                      "input_activations": token if w8a8 else None}},
        "ignore": ["lm_head"],
    }
    return case(config, tensors, codes, half, weights(codes, zeros, scales, g_idx))


def cases():
    rng = np.random.default_rng(20240711)
    return {
        "gptq_v1_g32": gptq(rng, 4, 32, "gptq"),
        "gptq_v1_sym_act_order": gptq(rng, 4, 32, "gptq", act_order=True, symmetric=True),
        "gptq_v2_act_order": gptq(rng, 4, 32, "gptq_v2", act_order=True),
        "gptq_v1_channel": gptq(rng, 4, -1, "gptq"),
        "gptq_v1_channel_sym": gptq(rng, 4, -1, "gptq", symmetric=True),
        "gptq_v1_8bit_g48": gptq(rng, 8, 48, "gptq"),
        "gptq_v2_8bit_g64": gptq(rng, 8, 64, "gptq_v2"),
        "awq_g32": awq(rng, 32),
        "awq_g96": awq(rng, 96),
        "packed_tensor": compressed(rng, "pack-quantized", 4, "tensor"),
        "packed_channel": compressed(rng, "pack-quantized", 4, "channel", scale_dtype="F32"),
        "packed_g32": compressed(rng, "pack-quantized", 4, "group", 32, scale_dtype="BF16"),
        "packed_g32_asym": compressed(rng, "pack-quantized", 4, "group", 32, symmetric=False),
        "packed_act_order": compressed(rng, "pack-quantized", 4, "group", 32, act_order=True),
        "packed_8bit_channel_asym": compressed(rng, "pack-quantized", 8, "channel", symmetric=False),
        "int8_channel_w8a8": compressed(rng, "int-quantized", 8, "channel", scale_dtype="BF16", w8a8=True),
        "int8_channel_asym": compressed(rng, "int-quantized", 8, "channel", symmetric=False),
    }


def array(entry):
    kinds = {"I32": "<i4", "F16": "<f2", "I8": "i1", "I64": "<i8", "F32": "<f4"}
    raw = bytes.fromhex(entry["bytes"])
    if entry["dtype"] == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(entry["shape"])
    return np.frombuffer(raw, kinds[entry["dtype"]]).reshape(entry["shape"]).copy()


def check(all_cases):
    """Unpacks with the packages and compares codes and zeros; prints one line a case."""
    import importlib.util

    import torch
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32

    spec = importlib.util.spec_from_file_location("packing_utils", sys.argv[sys.argv.index("--check") + 1])
    awq_packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(awq_packing)
    for name, one in all_cases.items():
        arrays = {key: torch.from_numpy(array(value)) for key, value in one["tensors"].items()}
        values = np.frombuffer(bytes.fromhex(one["values"]), "<f4").reshape(OUT, IN)
        bits = one["config"].get("bits", 4)
        if name.startswith("awq"):
            group = one["config"]["group_size"]
            scales = arrays["scales"].float()
            got = awq_packing.dequantize_gemm(arrays["qweight"], arrays["qzeros"], scales, 4, group).T.numpy()
        elif name.startswith("gptq"):
            got = auto_gptq_weights(torch, arrays, bits, one["config"]["checkpoint_format"])
        elif name.startswith("packed"):
            scheme = one["config"]["config_groups"]["group_0"]["weights"]
            q = unpack_from_int32(arrays["weight_packed"], scheme["num_bits"], torch.Size([OUT, IN])).float()
            scale = arrays["weight_scale"].float()
            scale = scale.reshape(-1, 1 if scheme["strategy"] == "tensor" else scale.shape[-1])
            zero = torch.zeros_like(scale)
            if "weight_zero_point" in arrays:
                zero = unpack_from_int32(arrays["weight_zero_point"], scheme["num_bits"],
                                         torch.Size([OUT, scale.shape[1]]), packed_dim=0).float()
            group = torch.arange(IN) // (IN // scale.shape[1])
            if "weight_g_idx" in arrays:
                group = arrays["weight_g_idx"].long()
            got = ((q - zero[:, group]) * scale[:, group]).numpy()
        else:
            scale = arrays["weight_scale"].float()
            zero = arrays["weight_zero_point"].float() if "weight_zero_point" in arrays else 0
            got = ((arrays["weight"].float() - zero) * scale).numpy()
        print(f"{name}: {'equal' if np.array_equal(got, values) else 'DIFFERS'}", file=sys.stderr)


def auto_gptq_weights(torch, arrays, bits, version):
    """The forward pass of auto_gptq's pure torch layer (qlinear_cuda.py), up to its matrix product."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32).unsqueeze(0)
    zeros = torch.bitwise_right_shift(arrays["qzeros"].unsqueeze(2).expand(-1, -1, 32 // bits), shifts.unsqueeze(0))
    zeros = zeros.to(torch.int16 if bits == 8 else torch.int8) + (1 if version == "gptq" else 0)
    zeros = torch.bitwise_and(zeros, 2**bits - 1).reshape(arrays["scales"].shape)
    weight = torch.bitwise_right_shift(arrays["qweight"].unsqueeze(1).expand(-1, 32 // bits, -1), shifts.unsqueeze(-1))
    weight = torch.bitwise_and(weight.to(torch.int16 if bits == 8 else torch.int8), 2**bits - 1)
    weight = weight.reshape(-1, weight.shape[2])
    g_idx = arrays["g_idx"].long()
    return (arrays["scales"].float()[g_idx] * (weight - zeros[g_idx]).float()).T.numpy()


if "--check" in sys.argv:
    check(cases())
else:
    print(json.dumps(cases(), indent=0))
