# SPDX-License-Identifier: GPL-3.0-or-later
"""Our codecs give the values of auto-round's own quantize-dequantize functions, element by element.

Where the arithmetic deviates on purpose, the reference's function is also run with that one step
replaced (see the patches below), for Q4_1 its definition; then every element is equal again."""

import contextlib
import math

from product import main, tiny_model
from test_gguf import file_in, gguf_place, permuted

EDGES = "model.layers.0.mlp.down_proj"  # shares no scale with another layer
FUSED = [("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("mlp.gate_proj", "mlp.up_proj")]


# --- What our codes mean, from the published formats (formats.md 1.5, 6.2) --------------------------

def minifloat(codes, exponent_bits, mantissa_bits):
    """Sign, exponent, fraction; bias 2^(e-1) - 1, gradual underflow."""
    import torch
    codes = codes.int()
    fraction = (codes & ((1 << mantissa_bits) - 1)).float() / 2 ** mantissa_bits
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    bias = 2 ** (exponent_bits - 1) - 1
    size = torch.where(exponent == 0, torch.ldexp(fraction, torch.tensor(1 - bias)),
                       torch.ldexp(1 + fraction, exponent - bias))
    return torch.where((codes >> (exponent_bits + mantissa_bits)) & 1 == 1, -size, size)


def fixed4(codes):
    """Sign and magnitude in steps of 1/4."""
    magnitude = (codes & 7).float() / 4
    return magnitude * (1 - 2 * (codes >> 3).float())


ELEMENTS = {"e2m1": lambda codes: minifloat(codes, 2, 1), "e2m3": lambda codes: minifloat(codes, 2, 3),
            "e4m3": lambda codes: minifloat(codes, 4, 3), "fixed4": fixed4}


def spread(values, rows, columns):
    """One number per group or tile -> one per element."""
    tile = rows if values.shape[0] == 1 else 128 if values.shape[0] < rows else 1
    width = -(-columns // values.shape[1])
    return values.float().repeat_interleave(tile, 0)[:rows].repeat_interleave(width, 1)[:, :columns]


def decoded(kind, parts, bits):
    import torch
    codes, scales = parts["codes"], parts["scales"]

    def wide(values):
        return spread(values, *codes.shape)
    if kind == "int":
        return (codes.float() - wide(parts["zeros"])) * wide(scales)
    if kind == "minimum":
        return codes.float() * wide(scales) + wide(parts["zeros"])
    if kind == "double":
        step = wide(scales) * wide(parts["super_scales"])
        if "zeros" not in parts:
            return step * (codes.float() - 2 ** (bits - 1))
        return step * codes.float() - wide(parts["zeros"]) * wide(parts["super_zeros"])
    element, scale = kind.split("/")
    if scale == "e8m0":
        scales = torch.ldexp(torch.ones(scales.shape), scales.int() - 127)
    elif scale == "e4m3":
        scales = minifloat(scales, 4, 3) / parts["super_scales"]
    elif scale == "ue5m3":
        scales = minifloat(scales, 5, 3)
    return ELEMENTS[element](codes) * wide(scales)


def our_parts(run):
    from safetensors.torch import load_file
    layers = {}
    for file in sorted((run / "blocks").glob("*.safetensors")):
        for name, values in load_file(file).items():
            layer, part = name.rsplit(".", 1)
            layers.setdefault(layer, {})[part] = values
    return layers


# --- The weights ------------------------------------------------------------------------------------

def edge_rows(columns, torch):
    """Rows that tend to be rounded wrongly."""
    index = torch.arange(columns)
    sign = 1 - 2 * (index % 2).float()
    noise = torch.randn(columns, generator=torch.Generator().manual_seed(3))
    return [torch.zeros(columns), noise.abs() + 0.1, -noise.abs() - 0.1,
            sign * 2.0 ** (index % 7 - 3),                             # powers of two
            sign * (index % 25) * 0.25,                                # halfway between codes of E2M1
            sign * (index % 8) * 0.125, (index % 16).float() - 8,      # codes of fixed point and int4
            ((index % 16) - 7.5) * 0.25, sign * 0.5,                   # halfway; ranges of equal ends
            noise * 1e-6, noise * 1e-30, noise * 2e-5, noise * 16,
            torch.where(index % 32 == 5, 3.0, noise * 1e-3),           # one large number per group
            torch.where(index % 16 == 3, -1.9921875, noise * 0.25),    # just below a power of two
            torch.where(index % 16 == 9, 6.375, noise),                # halfway between scales of 3 bits
            torch.where(index % 32 == 0, 1.0, torch.zeros(columns)),
            noise * 2.0 ** -(index // 16 % 16).float(), noise * 2.0 ** -(index // 32 % 8 * 2).float()]


def model_of(work):
    """Rows of 256 and 512 columns, what super-blocks need; returns (folder, layer -> fp32 weight)."""
    import torch
    from safetensors.torch import load_file, save_file
    folder = tiny_model(work / "model", hidden_size=256, intermediate_size=512, num_attention_heads=8)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    weight = tensors[EDGES + ".weight"]
    for row, values in enumerate(edge_rows(weight.shape[1], torch)):
        weight[row] = values.to(weight.dtype)
    save_file(tensors, file, {"format": "pt"})
    return folder, {name.removesuffix(".weight"): values.float() for name, values in tensors.items()}


# --- The reference ----------------------------------------------------------------------------------

class Divisor:
    """Stands for 1 / x, without rounding it."""

    def __init__(self, x):
        self.x = x

    def __rmul__(self, other):
        import torch
        x = torch.as_tensor(self.x)
        return torch.where(x == 0, 0.0, torch.as_tensor(other) / x)  # a plain number / x is not exact


def divide(x):
    return x.x if isinstance(x, Divisor) else Divisor(x)


def stored_super(exact):
    """In fp16, and 0 only where it is 0 exactly."""
    import torch
    d = exact.half().float()
    return torch.where((d == 0) & (exact != 0), exact.sign() * 2.0 ** -24, d)


def half_super(tensor, bits):
    """double_quant_tensor with the super-scale rounded to its stored type first."""
    last = 2 ** bits - 1
    d = stored_super(tensor.amax(-1, keepdim=True).clamp(min=0) / last)
    return (tensor * divide(d)).round().clamp(max=last) * d, d


def half_super_sym(tensor, bits):
    """double_quant_tensor_sym, likewise; of two equal magnitudes the positive one counts."""
    import torch
    first = -2 ** (bits - 1)
    low, high = tensor.amin(-1, keepdim=True), tensor.amax(-1, keepdim=True)
    d = stored_super(torch.where(high < -low, low, high) / first)
    return (tensor * divide(d)).round().clamp(first, -first - 1) * d, d


@contextlib.contextmanager
def patched(**patches):
    from auto_round.data_type import gguf, nvfp
    saved = [(module, name, getattr(module, name)) for module in (gguf, nvfp) for name in patches
             if hasattr(module, name)]
    try:
        for module, name, _ in saved:
            setattr(module, name, patches[name])
        yield
    finally:
        for module, name, value in saved:
            setattr(module, name, value)


def reference(dtype, bits, group, sym=True, thresh=None, **more):
    """The function that auto-round chooses for tuning, on one layer."""
    import torch
    from auto_round.data_type.utils import get_quant_func
    function, name = get_quant_func(dtype, bits, sym, disable_opt_rtn=True, group_size=group, iters=200)
    more.setdefault("scale_dtype", torch.float16)
    more["q_scale_thresh"] = thresh or (1e-8 if more["scale_dtype"] == torch.float32 else 1e-5)

    def values(layer, weights):
        return function(weights[layer].clone(), bits=bits, group_size=group, data_type=name, **more)[0]
    return values


def nvfp4_reference(layer, weights):
    """With the scale per tensor that fused layers share."""
    import torch
    from auto_round.data_type.nvfp import calculate_gparam, nv_fp4
    path = layer.split(".", 3)[3]
    names = next((group for group in FUSED if path in group), (path,))
    block = layer.removesuffix(path)
    scale = torch.stack([calculate_gparam(weights[block + name]) for name in names]).min()
    return nv_fp4(weights[layer].clone(), global_scale=scale)[0]


# --- The comparison ---------------------------------------------------------------------------------

class Tally:
    """Differences over the layers, in units of the largest magnitude of their group of `width`, or of
    `floor` where that is larger: fp16 has no smaller scales."""

    def __init__(self, width, near, floor):
        self.width, self.near, self.floor = width, near, floor
        self.count = self.differing = self.far = self.zeros = 0
        self.largest = self.our_error = self.their_error = 0.0
        self.layers = set()

    def add(self, layer, ours, theirs, weight):
        import torch
        apart = (ours - theirs).abs()
        size = weight.reshape(-1, self.width).abs().amax(-1, keepdim=True).expand(-1, self.width)
        size = size.reshape(weight.shape)
        share = torch.where(apart == 0, 0.0, apart / size.clamp_min(self.floor))
        assert torch.isfinite(share).all(), f"{layer}: not finite"
        self.count += ours.numel()
        self.differing += int((apart != 0).sum())
        self.far += int((share > self.near).sum())
        self.zeros += int(((ours == theirs) & (torch.signbit(ours) != torch.signbit(theirs))).sum())
        self.largest = max(self.largest, share.max().item())
        self.our_error += float((ours - weight).double().square().sum())
        self.their_error += float((theirs - weight).double().square().sum())
        if (apart != 0).any():
            self.layers.add(layer)


def check_parts(scheme, kind, bits, width, parts, weights, theirs, exact=None, reason="", near=0.0,
                floor=1e-37, share=0.0, largest=0.0):
    """`theirs` as it is: at most `share` of the elements differ by more than `near`, none by more than
    `largest`; `exact`, the reference with the named deviations: equal. Returns our values."""
    import torch
    assert len(parts) == 14, f"{len(parts)} layers were quantized instead of 14"
    ours = {layer: decoded(kind, each, bits) for layer, each in parts.items()}
    as_is, changed = Tally(width, near, floor), Tally(width, 0.0, floor)
    for layer, values in ours.items():
        as_is.add(layer, values, theirs(layer, weights), weights[layer])
        if exact is not None:
            changed.add(layer, values, exact(layer, weights), weights[layer])
    print(f"  {scheme}: {as_is.differing} of {as_is.count} differ, {as_is.far} by more than {near:.1e} of the "
          f"group's largest, the most by {as_is.largest:.1e}; zeros of the other sign: {as_is.zeros}")
    if as_is.differing > 0:
        ratio = math.sqrt(as_is.our_error / as_is.their_error)
        print(f"    because of {reason or 'nothing known'}; our rms error is {ratio:.5f} of theirs")
        if exact is not None:
            print(f"    with these in the reference too: {changed.differing} differ")
    assert not any(torch.signbit(values[values == 0]).any() for values in ours.values()
                   if kind not in ("double", "int", "minimum")), "a code of -0"
    assert as_is.far <= share * as_is.count, f"{as_is.far} elements differ, also in {sorted(as_is.layers)}"
    assert as_is.largest <= max(near, largest), f"an element differs by {as_is.largest}"
    assert as_is.our_error <= 1.001 * as_is.their_error, "our error is larger than the reference's"
    if exact is not None:
        assert changed.differing == 0, f"{changed.differing} differ in {sorted(changed.layers)}"
    return ours


def check(product, work, scheme, kind, bits, width, theirs, exact=None, **limits):
    model, weights = model_of(work)
    run = work / "run"
    product.run("quantize", model, "--scheme", scheme, "--recipe", "rtn", "--set", "recipe.start=minmax",
                "--set", "exports.formats=", "--run-dir", run, "--json")
    check_parts(scheme, kind, bits, width, our_parts(run), weights, theirs, exact, **limits)


def check_integer(product, work, scheme, bits, group, sym=True):
    check(product, work, scheme, "int", bits, group, reference("int", bits, group, sym))


def check_mx(product, work, scheme, element, bits, dtype="mx_fp"):
    check(product, work, scheme, element + "/e8m0", bits, 32, reference(dtype, bits, 32))


def check_gguf(product, work, scheme, kind, bits, width, theirs, exact, **limits):
    """The run as above, and the gguf package decodes the exported file to the same values."""
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize
    model, weights = model_of(work)
    output, run = product.quantize(model, scheme, "gguf", work, "--set", "recipe.start=minmax")
    ours = check_parts(scheme, kind, bits, width, our_parts(run), weights, theirs, exact, **limits)
    tensors = {tensor.name: tensor for tensor in GGUFReader(file_in(output)).tensors}
    for layer, values in ours.items():
        expected = values.numpy()
        if layer.endswith(("q_proj", "k_proj")):
            expected = permuted(expected, 8 if layer.endswith("q_proj") else 2)
        name, _ = gguf_place(layer)
        tensor = tensors[name]
        assert tensor.tensor_type.name.lower() == scheme.removeprefix("gguf:"), tensor.tensor_type
        found = dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(found, expected), f"{tensor.name} is not decoded to our values"
    print(f"    the gguf package decodes {len(ours)} exported layers to the same values")


# --- Integers ---------------------------------------------------------------------------------------

def test_two_bits(product, work):
    check_integer(product, work, "W2A16G64", 2, 64)


def test_three_bits(product, work):
    check_integer(product, work, "W3A16G32", 3, 32)


def test_four_bits(product, work):
    check_integer(product, work, "W4A16G32", 4, 32)


def test_asymmetric(product, work):
    check_integer(product, work, "W4A16G32_ASYM", 4, 32, sym=False)


def test_five_bits(product, work):
    check_integer(product, work, "W5A16G32", 5, 32)


def test_eight_bits(product, work):
    check_integer(product, work, "W8A16G32", 8, 32)


# --- Microscaling -----------------------------------------------------------------------------------

def test_mxfp4(product, work):
    check_mx(product, work, "MXFP4A16", "e2m1", 4)


def test_mxfp6(product, work):
    check_mx(product, work, "MXFP6", "e2m3", 6)


def test_mxfp8(product, work):
    check_mx(product, work, "MXFP8A16", "e4m3", 8)


def test_mxint4(product, work):
    check_mx(product, work, "MXINT4", "fixed4", 4, "mx_int")


def test_mxfp4_scales_rounded_up(product, work):
    check_mx(product, work, "bits=4,group_size=32,data_type=mx_fp_rceil", "e2m1", 4, "mx_fp_rceil")


# --- NVFP4 ------------------------------------------------------------------------------------------

RECIPROCALS = "divisions by multiplying with rounded reciprocals there"


def test_nvfp4(product, work):
    def exact(layer, weights):
        with patched(get_reciprocal=divide):
            return nvfp4_reference(layer, weights)
    # Another E2M1 code is up to a third of the largest away.
    check(product, work, "NVFP4A16", "e2m1/e4m3", 4, 16, nvfp4_reference, exact, reason=RECIPROCALS,
          near=2.0 ** -21, share=1e-2, largest=0.35)


def test_nvfp4_with_e5m3_scales(product, work):
    check(product, work, "NVFP4_E5M3", "e2m1/ue5m3", 4, 16, reference("nvfp4_v2", 4, 16))


# --- FP8 --------------------------------------------------------------------------------------------

def test_fp8_per_tensor(product, work):
    check(product, work, "FPW8A16", "e4m3/fp32", 8, 256, reference("fp", 8, 0))


def test_fp8_per_row(product, work):
    check(product, work, "FP8_DYNAMIC", "e4m3/fp32", 8, 256, reference("fp", 8, -1))


def test_fp8_tiles(product, work):
    check(product, work, "FP8_BLOCK", "e4m3/fp32", 8, 128, reference("fp", 8, (128, 128)))


# --- GGUF -------------------------------------------------------------------------------------------

def four_bits_with_minimum(layer, weights):
    """Q4_1 by its definition: the reference's codes lie on multiples of the scale, not on the stored
    minimum plus such multiples, and are rounded a second time when packed."""
    import torch
    groups = weights[layer].reshape(-1, 32)
    low, high = groups.amin(-1, True).clamp(max=0), groups.amax(-1, True).clamp(min=0)
    scale = ((high - low) / 15).half().clamp(min=1e-5).float()
    low = low.half().float()
    return (torch.round((groups - low) / scale).clamp(0, 15) * scale + low).reshape(weights[layer].shape)


def test_q4_0(product, work):
    import torch
    check_gguf(product, work, "gguf:q4_0", "int", 4, 32, reference("int", 4, 32, scale_dtype=torch.float32),
               reference("int", 4, 32), reason="scales in fp16 here, rounded at packing there",
               near=2.0 ** -10, floor=1e-3, share=1e-3, largest=0.13)


def test_q4_1(product, work):
    import torch
    check_gguf(product, work, "gguf:q4_1", "minimum", 4, 32,
               reference("int_asym_float_zp", 4, 32, sym=False, scale_dtype=torch.float32),
               four_bits_with_minimum, reason="codes rounded on the stored grid here, off it there",
               near=2.0 ** -10, floor=1e-3, share=1.0, largest=0.14)


def check_k(product, work, scheme, bits, group, sym, super_bits, **limits):
    import torch
    settings = ("int_sym_dq" if sym else "int_asym_dq", bits, group, sym)
    more = dict(scale_dtype=torch.float32, super_bits=super_bits, super_group_size=256 // group)
    tiny_steps = reference(*settings, thresh=1e-38, **more)  # a group's scale of 0 stays 0

    def exact(layer, weights):
        with patched(get_reciprocal=divide, double_quant_tensor=half_super,
                     double_quant_tensor_sym=half_super_sym):
            values = tiny_steps(layer, weights)
            return torch.where(values.abs() < 1e-36, 0.0, values)
    check_gguf(product, work, scheme, "double", bits, 256, reference(*settings, **more), exact, floor=1e-3,
               near=2.0 ** -10, reason="super-scales in fp16, and 0 for 0 alone, here, rounded at packing there; " +
               ("the first of equal magnitudes sets the sign there; " if sym else
                "no smallest scale of a group here; ") + RECIPROCALS, **limits)


def test_q2_k(product, work):
    check_k(product, work, "gguf:q2_k", 2, 16, False, 4, share=1e-2, largest=0.7)


def test_q3_k(product, work):
    check_k(product, work, "gguf:q3_k", 3, 16, True, 6, share=1e-2, largest=0.3)


def test_q4_k(product, work):
    check_k(product, work, "gguf:q4_k", 4, 32, False, 6, share=4e-2, largest=0.15)


def test_q5_k(product, work):
    check_k(product, work, "gguf:q5_k", 5, 32, False, 6, share=4e-2, largest=0.1)


def test_q6_k(product, work):
    check_k(product, work, "gguf:q6_k", 6, 16, True, 8, share=1e-2, largest=0.07)


if __name__ == "__main__":
    main([test_two_bits, test_three_bits, test_four_bits, test_asymmetric, test_five_bits, test_eight_bits,
          test_mxfp4, test_mxfp6, test_mxfp8, test_mxint4, test_mxfp4_scales_rounded_up,
          test_nvfp4, test_nvfp4_with_e5m3_scales, test_fp8_per_tensor, test_fp8_per_row, test_fp8_tiles,
          test_q4_0, test_q4_1, test_q2_k, test_q3_k, test_q4_k, test_q5_k, test_q6_k],
         needs=["torch", "transformers", "auto_round", "gguf"])
