# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers with the package auto-round loads what we export and computes what we compute."""

from product import main, tiny_model

IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]


def logits_of(folder):
    import torch
    from transformers import AutoModelForCausalLM
    # float32: what is left are the differences of the files and of auto-round's 16-bit products.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, device_map="cpu")
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


def test_two_bits(product, work):
    check(product, work, "W2A16G32")


def test_three_bits(product, work):
    check(product, work, "W3A16G32")


def test_four_bits(product, work):
    check(product, work, "W4A16G32")


def test_eight_bits(product, work):
    check(product, work, "W8A16G64")


def test_asymmetric(product, work):
    check(product, work, "W4A16G32_ASYM")


def test_asymmetric_two_bits(product, work):
    check(product, work, "W2A16G32_ASYM")


def test_one_group_per_row(product, work):
    check(product, work, "W4A16", "--group-size", "-1")


def test_mixed_bits_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=W8A16G32",
          "--override", "model.layers.0.self_attn.o_proj=keep", packed=13)


def test_quantized_head(product, work):
    check(product, work, "W4A16G32", "--override", "lm_head=W8A16G32", packed=15, vocab_size=288)


if __name__ == "__main__":
    main([test_two_bits, test_three_bits, test_four_bits, test_eight_bits, test_asymmetric,
          test_asymmetric_two_bits, test_one_group_per_row, test_mixed_bits_and_kept_layers,
          test_quantized_head],
         needs=["torch", "transformers", "auto_round"])
