# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers with the package compressed-tensors loads what we export and decodes our weights."""

import json

from product import check_tokens, main, tiny_model, with_torch

IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]
FP4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def quantize(product, model, scheme, work, *more):
    """Rounds with calibration, which static activations need; returns (export, run)."""
    text = work / "text.txt"
    text.write_text(" ".join(f"The number {i} follows the number {i - 1}." for i in range(1, 400)))
    output, run = work / "export", work / "run"
    product.run("quantize", model, "--scheme", scheme, "--recipe", "opt_rtn", "--smoothing", "off",
                "--format", "llm_compressor", "--output", output, "--run-dir", run, "--dataset", text,
                "--nsamples", 8, "--seqlen", 64, "--json", *more)
    product.run("verify", output)
    return output, run


def decoded(parts, torch):
    """A weight by its definition, from the parts in the run folder."""
    codes, scales = parts["codes"], parts["scales"]
    if scales.dtype == torch.float16:
        numbers = codes.float()
        zeros = parts["zeros"].float()
        numbers = numbers - zeros.repeat_interleave(codes.shape[1] // zeros.shape[1], 1)
    elif scales.dtype == torch.float32 or codes.max() > 15:
        numbers = codes.view(torch.float8_e4m3fn).float()
    else:
        numbers = torch.tensor(FP4 + [-x for x in FP4])[codes.int()]
    if scales.dtype == torch.uint8 and "super_scales" in parts:
        scales = scales.view(torch.float8_e4m3fn).float() / parts["super_scales"]
    elif scales.dtype == torch.uint8:
        scales = 2.0 ** (scales.float() - 127)
    rows, columns = codes.shape
    tile = -(-rows // scales.shape[0]) if scales.shape[0] < rows else 1
    width = -(-columns // scales.shape[1])
    if 1 < tile and tuple(scales.shape) == (-(-rows // 128), -(-columns // 128)):
        tile = width = 128  # those at the edges are cut off
    spread = scales.float().repeat_interleave(width, 1)
    return numbers * spread.repeat_interleave(tile, 0)[:rows, :columns]


def our_weights(run):
    import torch
    from safetensors.torch import load_file
    layers = {}
    for file in sorted((run / "blocks").glob("*.safetensors")):
        for name, values in load_file(file).items():
            layer, part = name.rsplit(".", 1)
            layers.setdefault(layer, {})[part] = values
    return {layer: decoded(parts, torch) for layer, parts in layers.items()}


def load(folder):
    """The model with decompressed weights in fp32, and its logits."""
    import torch
    from transformers import AutoModelForCausalLM
    # The package decompresses MX and NVFP4 to bf16 whatever the model's type is.
    small = any("scale_dtype" in group["weights"] for group in groups_of(folder))
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16 if small else torch.float32, device_map="cpu")
    with torch.no_grad():
        model(torch.tensor([IDS]))  # the first pass decompresses
        torch.nn.Module.float(model)  # transformers refuses its own
        return model, model(torch.tensor([IDS])).logits[0]


def groups_of(folder):
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    return list(config["config_groups"].values())


def check(product, work, scheme, *more, count=14, tolerance=2.0 ** -8, **changes):
    import torch
    from compressed_tensors.compressors import BaseCompressor
    model = tiny_model(work / "model", **changes)
    output, run = quantize(product, model, scheme, work, *more)
    formats = {group["format"] for group in groups_of(output)}
    missing = [word for word in formats if word not in BaseCompressor.registered_names()]
    if missing:
        print(f"  {scheme}: skipped, the installed compressed-tensors lacks {missing}")
        return
    loaded, theirs = load(output)
    ours = our_weights(run)
    assert len(ours) == count, f"{len(ours)} layers were quantized instead of {count}"
    worst = 0.0
    for name, values in ours.items():
        module = loaded.get_submodule(name)
        assert getattr(module, "quantization_scheme", None) is not None, f"{name} is not quantized"
        # Relative, since the package multiplies in the type of its scales, down to bf16.
        error = ((module.weight.float() - values).abs() / values.abs().clamp_min(1e-30)).max()
        worst = max(worst, error.item())
    kept = [name for name, module in loaded.named_modules()
            if isinstance(module, torch.nn.Linear) and name not in ours
            and getattr(module, "quantization_scheme", None) is not None]
    assert not kept, f"kept layers are taken for quantized ones: {kept}"
    print(f"  {scheme} {' '.join(more)}: largest difference of a weight {worst:.2e}")
    assert worst <= tolerance, f"weights differ by {worst}"
    compare_logits(product, work, scheme, output, model, loaded, theirs)


def compare_logits(product, work, scheme, output, model, loaded, theirs):
    ours, original = product.logits(output, IDS, work), product.logits(model, IDS, work)
    difference = (theirs - ours).abs().max().item()
    scale = ours.abs().max().item()
    print(f"    logits: largest difference {difference:.2e} of {scale:.1f}")
    activations = [group["input_activations"] for group in groups_of(output)]
    bits = min((each["num_bits"] for each in activations if each), default=16)
    if bits < 16:
        # The trace of a folder computes with activations as they are: what their rounding makes,
        # whereas wrong scales of activations make the logits another model's.
        noise = ((theirs - ours).norm() / ours.norm()).item()
        allowed = 0.1 if bits == 8 else 0.3
        assert noise <= allowed, f"{scheme}: logits are {noise} of noise"
        check_tokens(product, output, with_torch(loaded), IDS, work, allowed)
        return
    assert difference <= 2e-2 * scale, f"{scheme}: logits differ by {difference} of {scale}"
    assert (original - ours).abs().max().item() > 1.5 * difference, "nothing was quantized"
    check_tokens(product, output, with_torch(loaded), IDS, work, 2e-2)


def test_four_bits(product, work):
    check(product, work, "W4A16G32")


def test_asymmetric(product, work):
    check(product, work, "W4A16G32_ASYM")


def test_one_group_per_row(product, work):
    check(product, work, "W8A16", "--group-size", "-1")


def test_group_wider_than_some_rows(product, work):
    check(product, work, "W4A16", "--group-size", "256")


def test_int8(product, work):
    check(product, work, "W8A8")


def test_int4_weights_beside_int8(product, work):
    check(product, work, "W4A8")


def test_fp8_dynamic(product, work):
    check(product, work, "FP8_DYNAMIC")


def test_fp8_static(product, work):
    check(product, work, "FP8_STATIC")


def test_fp8_tiles(product, work):
    check(product, work, "FP8_BLOCK")


def test_fp8_weights_only(product, work):
    check(product, work, "FPW8A16")


def test_mxfp4_weights_only(product, work):
    check(product, work, "MXFP4A16")


def test_mxfp8(product, work):
    check(product, work, "MXFP8")


def test_nvfp4_weights_only(product, work):
    check(product, work, "NVFP4A16")


def test_nvfp4(product, work):
    check(product, work, "NVFP4")


def test_mixed_schemes_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=FP8_DYNAMIC",
          "--override", "model.layers.0.self_attn.o_proj=keep", count=13)


if __name__ == "__main__":
    main([test_four_bits, test_asymmetric, test_one_group_per_row, test_group_wider_than_some_rows,
          test_int8, test_int4_weights_beside_int8, test_fp8_dynamic, test_fp8_static,
          test_fp8_tiles, test_fp8_weights_only, test_mxfp4_weights_only, test_mxfp8,
          test_nvfp4_weights_only, test_nvfp4, test_mixed_schemes_and_kept_layers],
         needs=["torch", "transformers", "compressed_tensors"])
