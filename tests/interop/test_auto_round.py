# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers with the package auto-round loads what we export and computes what we compute."""

from packed_weights import compare, logits_with, quantization, tensors_of, weights_only
from product import OF_AUTO_ROUND, check_tokens, main, tiny_model, with_torch

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


def test_two_bits(product, work):
    check(product, work, "W2A16G32")


def test_three_bits(product, work):
    check(product, work, "W3A16G32")


def test_four_bits(product, work):
    check(product, work, "W4A16G32")


def test_eight_bits(product, work):
    check(product, work, "W8A16G64")


def test_asymmetric(product, work):
    # With 4 bits alone the packing is that of AWQ: test_awq.py.
    check(product, work, "W4A16G32_ASYM", "--override", "*.mlp.down_proj=W8A16G32_ASYM")


def test_asymmetric_two_bits(product, work):
    check(product, work, "W2A16G32_ASYM")


def test_one_group_per_row(product, work):
    check(product, work, "W4A16", "--group-size", "-1")


def test_mixed_bits_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=W8A16G32",
          "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def test_quantized_head(product, work):
    check(product, work, "W4A16G32", "--override", "lm_head=W8A16G32", packed=15, vocab_size=288)


def calibrated(product, model, scheme, work, *more):
    """Rounds with calibration, which static activations need."""
    text = work / "text.txt"
    text.write_text(" ".join(f"The number {i} follows the number {i - 1}." for i in range(1, 400)))
    output = work / "export"
    product.run("quantize", model, "--scheme", scheme, "--recipe", "opt_rtn", "--smoothing", "off", "--format",
                "auto_round", "--output", output, "--run-dir", work / "run", "--dataset", text, "--nsamples", 8,
                "--seqlen", 64, "--json", *more)
    product.run("verify", output)
    return output


def check_numbers(product, work, scheme, packing, *more, noise=1e-3, tolerance=1e-4, packed=14):
    """auto-round's modules decode the weights that we decode, and round activations much as we do."""
    import torch
    model = tiny_model(work / "model")
    output = calibrated(product, model, scheme, work, *more)
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


def test_mxfp4(product, work):
    check_numbers(product, work, "MXFP4", "auto_round:llm_compressor")


def test_mxfp8(product, work):
    check_numbers(product, work, "MXFP8", "auto_round:llm_compressor")


def test_nvfp4(product, work):
    check_numbers(product, work, "NVFP4", "auto_round:llm_compressor")


def test_nvfp4_e5m3(product, work):
    check_numbers(product, work, "NVFP4_E5M3", "auto_round:llm_compressor_nvfp4_e5m3")


def test_mxint4(product, work):
    check_numbers(product, work, "MXINT4", "auto_round", noise=0.5)


def test_fp8_static(product, work):
    # Its module multiplies in bf16.
    check_numbers(product, work, "FP8_STATIC", "auto_round:fp8_static", noise=0.1, tolerance=2e-2)


def test_small_numbers_mixed(product, work):
    check_numbers(product, work, "MXFP4", "auto_round:llm_compressor", "--override", "*.mlp.down_proj=MXFP8",
                  "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def check_fp8(product, work, scheme, ending):
    """Without a loader on this machine: the definition (formats.md 2.8)."""
    model = tiny_model(work / "model")
    output = calibrated(product, model, scheme, work)
    tensors, weights = tensors_of(output), {}
    for name, scale in tensors.items():
        if name.endswith(ending):
            layer = name.removesuffix(ending)
            codes = tensors[layer + ".weight"].float()
            spread = scale.reshape(-1, scale.shape[-1]).repeat_interleave(128, 0).repeat_interleave(128, 1)
            weights[layer] = codes * (scale if scale.numel() == 1 else spread[:codes.shape[0], :codes.shape[1]])
    assert len(weights) == 14, f"{len(weights)} layers are quantized instead of 14"
    print(f"  {scheme}")
    compare(product, work, model, weights_only(output, work / "weights"), logits_with(model, weights, IDS), IDS, 1e-4)
    return quantization(output)


def test_fp8_tiles(product, work):
    config = check_fp8(product, work, "FP8_BLOCK", ".weight_scale_inv")
    assert config["packing_format"] == "auto_round:fp8"
    assert config["group_size"] == config["weight_block_size"] == [128, 128]


def test_fp8_weights_only(product, work):
    assert "packing_format" not in check_fp8(product, work, "FPW8A16", ".weight_scale")


if __name__ == "__main__":
    main([test_two_bits, test_three_bits, test_four_bits, test_eight_bits, test_asymmetric,
          test_asymmetric_two_bits, test_one_group_per_row, test_mixed_bits_and_kept_layers,
          test_quantized_head, test_mxfp4, test_mxfp8, test_nvfp4, test_nvfp4_e5m3, test_mxint4, test_fp8_static,
          test_small_numbers_mixed, test_fp8_tiles, test_fp8_weights_only],
         needs=["torch", "transformers", "auto_round"], harmless=OF_AUTO_ROUND)
