# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers with the package compressed-tensors loads what we export and decodes our weights."""

import json

from product import cache_scales, check_tokens, every_scheme, main, tiny_model, with_torch
from run_weights import run_weights

IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]


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
    model = tiny_model(work / "model", **changes)
    output, run = product.quantize(model, scheme, "llm_compressor", work, *more)
    loaded, theirs = load(output)
    ours = run_weights(run)
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
    return output, loaded


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


def test_one_group_per_row(product, work):
    check(product, work, "W8A16", "--group-size", "-1")


def test_group_wider_than_some_rows(product, work):
    check(product, work, "W4A16", "--group-size", "256")


def test_int4_weights_beside_int8(product, work):
    check(product, work, "W4A8")


def test_mixed_schemes_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=FP8_DYNAMIC",
          "--override", "model.layers.0.self_attn.o_proj=keep", count=13)


def test_cache_in_fp8(product, work):
    """Each attention has the scales of its keys and values from our file."""
    import torch
    output, loaded = check(product, work, "FP8_STATIC", "--static-kv-dtype", "fp8")
    for name, values in cache_scales(output).items():
        module, _, part = name.rpartition(".")
        found = getattr(loaded.get_submodule(module), part)
        assert torch.equal(found.flatten(), values), f"{name} is {found}, not {values}"


if __name__ == "__main__":
    main([every_scheme("llm_compressor", check), test_one_group_per_row, test_group_wider_than_some_rows,
          test_int4_weights_beside_int8, test_mixed_schemes_and_kept_layers, test_cache_in_fp8],
         needs=["torch", "transformers", "compressed_tensors"])
