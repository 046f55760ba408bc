# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers loads decoded weights like any model and computes what we compute."""

import json

from product import check_tokens, every_scheme, main, tiny_model, with_torch
from run_weights import run_weights
from test_compressed_tensors import IDS


# Rows of all layers hold whole super-blocks of K types.
SIZES = dict(hidden_size=256, head_dim=64)


def check(product, work, scheme, *more, count=14, **changes):
    import torch
    from transformers import AutoModelForCausalLM
    model = tiny_model(work / "model", **SIZES, **changes)
    output, run = product.quantize(model, scheme, "fake", work, *more)
    assert "quantization_config" not in json.loads((output / "config.json").read_text())
    stored = AutoModelForCausalLM.from_pretrained(output, dtype="auto", device_map="cpu")
    ours = run_weights(run)
    assert len(ours) == count, f"{len(ours)} layers were quantized instead of {count}"
    for name, values in ours.items():
        weight = stored.get_submodule(name).weight
        assert weight.dtype == torch.bfloat16, f"{name} is {weight.dtype}"
        assert torch.equal(weight, values.bfloat16()), f"{name} does not hold its decoded values"
    with torch.no_grad():
        theirs = stored.float()(torch.tensor([IDS])).logits[0]
    logits = product.logits(output, IDS, work)
    difference, scale = (theirs - logits).abs().max().item(), logits.abs().max().item()
    print(f"  {scheme} {' '.join(more)}: logits differ by {difference:.2e} of {scale:.1f}")
    assert difference <= 1e-3 * scale, f"logits differ by {difference} of {scale}"
    original = product.logits(model, IDS, work)
    assert (original - logits).abs().max().item() > 3 * difference, "nothing was quantized"
    check_tokens(product, output, with_torch(stored), IDS, work, 1e-3)


def test_kept_layer(product, work):
    check(product, work, "W3A16G32", "--override", "model.layers.0.mlp.down_proj=keep", count=13)


def test_tied_head(product, work):
    check(product, work, "W4A16G32", tie_word_embeddings=True)


if __name__ == "__main__":
    main([every_scheme("fake", check), test_kept_layer, test_tied_head],
         needs=["torch", "transformers"])
