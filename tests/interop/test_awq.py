# SPDX-License-Identifier: GPL-3.0-or-later
"""AWQ folders mean what the format says, transformers reads their configuration, and, where the package auto-round-lib
is installed, its loader for them computes what we compute."""

import importlib.util

from packed_weights import awq_weights, compare, logits_with, quantization
from product import OF_AUTO_ROUND, check_tokens, every_scheme, main, tiny_model, with_torch

IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]
# Asymmetric layers of 4 bits alone get this packing in auto-round's own format too.
ALSO_OF_AUTO_ROUND = ["W4A16_ASYM", "W4A16G64_ASYM", "W4A16G32_ASYM"]


def loaded_logits(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoRoundConfig
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, device_map="cpu", quantization_config=AutoRoundConfig(backend="ark"))
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].float(), model


def check(product, work, scheme, *more, fmt="auto_awq", packed=14, **changes):
    model = tiny_model(work / "model", **changes)
    output, _ = product.quantize(model, scheme, fmt, work, *more)
    weights = awq_weights(output)
    assert len(weights) == packed, f"{len(weights)} layers are packed instead of {packed}"
    print(f"  {scheme} {' '.join(more)}")
    compare(product, work, model, output, logits_with(model, weights, IDS), IDS, 1e-4)
    if importlib.util.find_spec("auto_round_kernel") is None:
        print("    its loader is not tried: auto-round-lib is not installed")
        return output
    theirs, loaded = loaded_logits(output)
    count = sum("QuantLinear" in type(module).__name__ for module in loaded.modules())
    assert count == packed, f"{count} packed layers were loaded instead of {packed}"
    # Some processors multiply in bf16.
    compare(product, work, model, output, theirs, IDS, 1e-2)
    check_tokens(product, output, with_torch(loaded), IDS, work, 1e-2)
    return output


def test_symmetric(product, work):
    from transformers import AwqConfig
    config = quantization(check(product, work, "W4A16G32"))
    read = AwqConfig.from_dict(dict(config))
    assert (read.bits, read.group_size, read.zero_point, read.format) == (4, 32, False, "gemm")
    assert read.modules_to_not_convert == ["lm_head"]


def test_asymmetric(product, work):
    assert quantization(check(product, work, "W4A16G64_ASYM"))["zero_point"] is True


def test_biases(product, work):
    check(product, work, "W4A16G32_ASYM", family="qwen2")


def test_kept_layers(product, work):
    check(product, work, "W4A16G32_ASYM", "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def test_packing_of_auto_round(product, work):
    for scheme in ALSO_OF_AUTO_ROUND:
        (work / scheme).mkdir()
        output = check(product, work / scheme, scheme, fmt="auto_round")
        assert quantization(output)["packing_format"] == "auto_round:auto_awq"


if __name__ == "__main__":
    main([every_scheme("auto_awq", check), test_symmetric, test_asymmetric, test_biases, test_kept_layers,
          test_packing_of_auto_round],
         needs=["torch", "transformers", "auto_round"], harmless=OF_AUTO_ROUND)
