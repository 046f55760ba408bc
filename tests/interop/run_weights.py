# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of the layers in a run folder, from their codes by the definition of each data type (formats.md 1.5, 6.2),
in torch's float32."""

import json


def numbers(bits, fraction, lowest):
    """Those of a floating point type by their codes: sign, exponent, `fraction` bits; `lowest`: the exponent of the
    smallest normal number."""
    import torch
    magnitudes = []
    for code in range(2 ** (bits - 1)):
        exponent, rest = code >> fraction, (code % 2 ** fraction) / 2 ** fraction
        magnitudes.append(rest * 2.0 ** lowest if exponent == 0 else (1 + rest) * 2.0 ** (lowest + exponent - 1))
    return torch.tensor(magnitudes + [-x for x in magnitudes])


FLOATING = {4: (4, 1, 0), 6: (6, 3, 0), 8: (8, 3, -6)}  # E2M1, E2M3, E4M3
FIXED = {4: (4, 2, 0), 8: (8, 6, 0)}
UE5M3 = (9, 3, -14)


def spread(values, columns, group):
    """A value per group of columns to a value per column."""
    return values.float().repeat_interleave(group if group > 0 else columns, 1)[:, :columns]


def of_integers(part, scheme):
    codes, zeros = part["codes"].float(), part["zeros"]
    columns, group = codes.shape[1], scheme["group_size"]
    scales, zeros = (spread(values, columns, group) for values in (part["scales"], zeros))
    if scheme["data_type"] == "int_float_zero":
        return codes * scales + zeros
    return scales * (codes - zeros)


def of_super_blocks(part, scheme):
    """(d L) q - dmin M, and (d L) (q - center) for the symmetric ones."""
    codes, group = part["codes"].float(), scheme["group_size"]
    columns, block = codes.shape[1], scheme["group_size"] * scheme["super_group_size"]
    scales = spread(part["scales"], columns, group) * spread(part["super_scales"], columns, block)
    if scheme["sym"]:
        return scales * (codes - 2 ** (scheme["bits"] - 1))
    return scales * codes - spread(part["zeros"], columns, group) * spread(part["super_zeros"], columns, block)


def of_micro_scales(part, scheme):
    grid = numbers(*(FIXED if scheme["data_type"] == "mx_int" else FLOATING)[scheme["bits"]])
    codes = part["codes"].int()
    return grid[codes] * spread(2.0 ** (part["scales"].float() - 127), codes.shape[1], scheme["group_size"])


def of_small_scales(part, scheme):
    import torch
    codes = part["codes"].int()
    if scheme["data_type"] == "nv_fp":
        scales = part["scales"].view(torch.float8_e4m3fn).float() / part["super_scales"]
    else:
        scales = numbers(*UE5M3)[part["scales"].int()]
    return numbers(*FLOATING[4])[codes] * spread(scales, codes.shape[1], scheme["group_size"])


def of_bytes(part, scheme):
    import torch
    codes, scales = part["codes"].view(torch.float8_e4m3fn).float(), part["scales"]
    if scheme["group_rows"] > 1:
        scales = scales.repeat_interleave(scheme["group_rows"], 0)[:codes.shape[0]]
    return codes * spread(scales, codes.shape[1], scheme["group_size"])


DECODERS = {"int": of_integers, "int_float_zero": of_integers, "int_double": of_super_blocks, "mx_fp": of_micro_scales,
            "mx_fp_rceil": of_micro_scales, "mx_int": of_micro_scales, "nv_fp": of_small_scales,
            "nv_fp_e5m3": of_small_scales, "fp8": of_bytes}


def run_weights(run):
    from safetensors import safe_open
    weights = {}
    for file in sorted((run / "blocks").glob("*.safetensors")):
        with safe_open(file, framework="pt") as block:
            names = block.keys()
            for layer in json.loads(block.metadata()["block"])["layers"]:
                prefix, scheme = layer["name"] + ".", layer["scheme"]
                part = {name.removeprefix(prefix): block.get_tensor(name) for name in names if name.startswith(prefix)}
                if part:
                    weights[layer["name"]] = DECODERS[scheme["data_type"]](part, scheme)
    return weights
