# SPDX-License-Identifier: GPL-3.0-or-later
"""GPTQ folders mean what the format says, and auto-round's loader for them computes what we compute.

The loader takes checkpoint_format gptq only; gptq_v2 is given to it as auto_round:gptqmodel, the same tensors under
auto-round's own name (formats.md 2.4)."""

import json

from packed_weights import compare, gptq_weights, logits_with, quantization
from product import OF_AUTO_ROUND, check_tokens, every_scheme, main, tiny_model, with_torch

# Its layers have no place for the order of inputs, which other loaders want, and which is the plain one here.
ONLY_ORDERS_UNUSED = r"LOAD REPORT(?!.*(MISSING|MISMATCH))(?!.*(?<!\.g_idx)(?<! ) +\| UNEXPECTED)"
IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]


def loaded_logits(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoRoundConfig
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, device_map="cpu", quantization_config=AutoRoundConfig(backend="torch"))
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].float(), model


def relabel(folder):
    """gptq_v2 as the packing of auto-round that has the same tensors."""
    config = json.loads((folder / "config.json").read_text())
    old = config["quantization_config"]
    rules = {key[2:]: values for key, values in old.get("dynamic", {}).items()}
    assert all(rules.values()), "kept layers would need another rule"
    config["quantization_config"] = {
        "quant_method": "auto-round", "packing_format": "auto_round:gptqmodel", "data_type": "int",
        "block_name_to_quantize": "model.layers", "extra_config": rules,
        **{key: old[key] for key in ("bits", "group_size", "sym")}}
    (folder / "config.json").write_text(json.dumps(config))


def check(product, work, scheme, *more, packed=14, **changes):
    version = "gptq_v2" if scheme.endswith("_ASYM") else "gptq"
    model = tiny_model(work / "model", **changes)
    output, _ = product.quantize(model, scheme, "auto_gptq", work, *more)
    assert quantization(output) == json.loads((output / "quantize_config.json").read_text())
    assert quantization(output)["checkpoint_format"] == version
    weights = gptq_weights(output)
    assert len(weights) == packed, f"{len(weights)} layers are packed instead of {packed}"
    print(f"  {scheme} {' '.join(more)}")
    compare(product, work, model, output, logits_with(model, weights, IDS), IDS, 1e-4)
    ours = product.logits(output, IDS, work)
    if version == "gptq_v2":
        relabel(output)
    theirs, loaded = loaded_logits(output)
    count = sum("QuantLinear" in type(module).__name__ for module in loaded.modules())
    assert count == packed, f"{count} packed layers were loaded instead of {packed}"
    difference, scale = (theirs - ours).abs().max().item(), ours.abs().max().item()
    print(f"    auto-round: largest difference {difference:.2e} of {scale:.1f}")
    # 2^-11 per product of a 16-bit multiplication, two blocks deep.
    assert difference <= 5e-3 * scale, f"logits differ by {difference} where the largest is {scale}"
    check_tokens(product, output, with_torch(loaded), IDS, work, 5e-3)


def test_one_group_per_row(product, work):
    check(product, work, "W4A16", "--group-size", "-1")


def test_biases(product, work):
    check(product, work, "W4A16G32", family="qwen2")


def test_asymmetric_mixed_bits(product, work):
    check(product, work, "W2A16G32_ASYM", "--override", "*.mlp.down_proj=W3A16G32_ASYM")


def test_mixed_bits_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=W8A16G32",
          "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def test_quantized_head(product, work):
    check(product, work, "W4A16G32", "--override", "lm_head=W8A16G32", packed=15, vocab_size=288)


if __name__ == "__main__":
    main([every_scheme("auto_gptq", check), test_one_group_per_row, test_biases, test_asymmetric_mixed_bits,
          test_mixed_bits_and_kept_layers, test_quantized_head],
         needs=["torch", "transformers", "auto_round"], harmless=[*OF_AUTO_ROUND, ONLY_ORDERS_UNUSED])
