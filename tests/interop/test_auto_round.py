# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers with the package auto-round loads what we export and computes what we compute."""

from packed_weights import compare, logits_with, quantization, tensors_of, weights_only
from product import OF_AUTO_ROUND, check_tokens, every_scheme, main, tiny_model, with_torch
from test_awq import ALSO_OF_AUTO_ROUND

IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]


def logits_of(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoRoundConfig
    # float32: what is left are the differences of the files and of auto-round's 16-bit products.
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, device_map="cpu", quantization_config=AutoRoundConfig(backend="torch"))
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].float(), model


def check(product, work, scheme, *more, packed=14, **changes):
    model = tiny_model(work / "model", **changes)
    output, _ = product.quantize(model, scheme, "auto_round", work, *more)
    theirs, loaded = logits_of(output)
    ours = product.logits(output, IDS, work)
    count = sum("QuantLinear" in type(module).__name__ for module in loaded.modules())
    assert count == packed, f"{count} packed layers were loaded instead of {packed}"
    difference = (theirs - ours).abs().max().item()
    scale = ours.abs().max().item()
    print(f"  {scheme} {' '.join(more)}: largest difference {difference:.2e} of {scale:.1f}")
    # 2^-11 per product of a 16-bit multiplication, two blocks deep.
    assert difference <= 5e-3 * scale, f"logits differ by {difference} where the largest is {scale}"
    original = product.logits(model, IDS, work)
    assert (original - ours).abs().max().item() > 3 * difference, "nothing was quantized"
    check_tokens(product, output, with_torch(loaded), IDS, work, 5e-3)


def test_asymmetric(product, work):
    # With 4 bits alone the packing is that of AWQ: test_awq.py.
    check(product, work, "W4A16G32_ASYM", "--override", "*.mlp.down_proj=W8A16G32_ASYM")


def test_one_group_per_row(product, work):
    check(product, work, "W4A16", "--group-size", "-1")


def test_mixed_bits_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=W8A16G32",
          "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def test_quantized_head(product, work):
    check(product, work, "W4A16G32", "--override", "lm_head=W8A16G32", packed=15, vocab_size=288)


COMPRESSED = "auto_round:llm_compressor"
NUMBERS = {  # that are no integers: packing, and what auto-round's modules do to activations and weights
    "MXFP4": (COMPRESSED, 1e-3, 1e-4), "MXFP4_RCEIL": (COMPRESSED, 1e-3, 1e-4), "MXFP8": (COMPRESSED, 1e-3, 1e-4),
    "MXFP8_RCEIL": (COMPRESSED, 1e-3, 1e-4), "NVFP4": (COMPRESSED, 1e-3, 1e-4),
    "NVFP4_E5M3": ("auto_round:llm_compressor_nvfp4_e5m3", 1e-3, 1e-4), "MXINT4": ("auto_round", 0.5, 1e-4),
    "FP8_STATIC": ("auto_round:fp8_static", 0.1, 2e-2)}  # its module multiplies in bf16


def check_numbers(product, work, scheme, *more, packed=14):
    """auto-round's modules decode the weights that we decode, and round activations much as we do."""
    import torch
    packing, noise, tolerance = NUMBERS[scheme]
    model = tiny_model(work / "model")
    output, _ = product.quantize(model, scheme, "auto_round", work, *more)
    assert quantization(output)["packing_format"] == packing
    theirs, loaded = logits_of(output)
    with torch.no_grad():
        weights = {name: module.dequant_weight_online().float() for name, module in loaded.named_modules()
                   if hasattr(module, "dequant_weight_online")}
    assert len(weights) == packed, f"{len(weights)} layers were loaded instead of {packed}"
    print(f"  {scheme} {' '.join(more)}")
    compare(product, work, model, weights_only(output, work / "weights"), logits_with(model, weights, IDS), IDS,
            tolerance)
    # Numbers at the border between two codes part; wrong scales of activations make the logits another model's.
    ours = product.logits(output, IDS, work)
    found = ((theirs - ours).norm() / ours.norm()).item()
    print(f"    rounded activations: {found:.4f}")
    assert found <= noise, f"{scheme}: logits are {found} of noise"
    check_tokens(product, output, with_torch(loaded), IDS, work, noise)


def check_scheme(product, work, scheme):
    (check_numbers if scheme in NUMBERS else check)(product, work, scheme)


def test_small_numbers_mixed(product, work):
    check_numbers(product, work, "MXFP4", "--override", "*.mlp.down_proj=MXFP8",
                  "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def test_fp8_tiles(product, work):
    """Without a loader on this machine: the definition (formats.md 2.8). vLLM loads them: test_vllm.py."""
    model = tiny_model(work / "model")
    output, _ = product.quantize(model, "FP8_BLOCK", "auto_round", work)
    tensors, weights = tensors_of(output), {}
    for name, scale in tensors.items():
        if name.endswith(".weight_scale_inv"):
            layer = name.removesuffix(".weight_scale_inv")
            codes = tensors[layer + ".weight"].float()
            spread = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
            weights[layer] = codes * spread[:codes.shape[0], :codes.shape[1]]
    assert len(weights) == 14, f"{len(weights)} layers are quantized instead of 14"
    compare(product, work, model, weights_only(output, work / "weights"), logits_with(model, weights, IDS), IDS, 1e-4)
    config = quantization(output)
    assert config["packing_format"] == "auto_round:fp8"
    assert config["group_size"] == config["weight_block_size"] == [128, 128]


if __name__ == "__main__":
    main([every_scheme("auto_round", check_scheme, "FP8_BLOCK", *ALSO_OF_AUTO_ROUND), test_asymmetric,
          test_one_group_per_row, test_mixed_bits_and_kept_layers, test_quantized_head, test_small_numbers_mixed,
          test_fp8_tiles],
         needs=["torch", "transformers", "auto_round"], harmless=OF_AUTO_ROUND)
