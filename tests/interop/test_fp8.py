# SPDX-License-Identifier: GPL-3.0-or-later
"""transformers reads our native FP8 folders and decodes them to our values."""

import json

from product import check_tokens, main, tiny_model, with_torch
from run_weights import run_weights
from test_compressed_tensors import IDS

TILE = 128


def quantize(product, work, *more, **changes):
    model = tiny_model(work / "model", **changes)
    output, run = product.quantize(model, "FP8_BLOCK", "fp8", work, *more)
    return model, output, run_weights(run)


def description(folder):
    return json.loads((folder / "config.json").read_text())["quantization_config"]


def check_files(output, ours):
    """The tensors mean our values by the definition of the format, also where a tile is cut off."""
    import torch
    from safetensors.torch import load_file
    tensors = load_file(output / "model.safetensors")
    for name, values in ours.items():
        codes, scale = tensors[f"{name}.weight"], tensors[f"{name}.weight_scale_inv"]
        rows, columns = codes.shape
        assert codes.dtype == torch.float8_e4m3fn and scale.dtype == torch.float32, name
        assert scale.shape == (-(-rows // TILE), -(-columns // TILE)), f"{name}: {scale.shape}"
        wide = scale.repeat_interleave(TILE, 0)[:rows].repeat_interleave(TILE, 1)[:, :columns]
        assert torch.equal(codes.float() * wide, values), f"{name} does not mean its values"


def rounded_input(_, inputs):
    """Inputs in E4M3 with a scale for each 128 values of a token, as runtimes round them."""
    import torch
    x = inputs[0]
    groups = x.reshape(*x.shape[:-1], -1, TILE)
    scale = (groups.abs().amax(-1, keepdim=True) / torch.finfo(torch.float8_e4m3fn).max).clamp_min(1e-12)
    return ((groups / scale).to(torch.float8_e4m3fn).float() * scale).reshape(x.shape)


def check(product, work, *more, count=14, **changes):
    import torch
    from transformers import AutoModelForCausalLM, FineGrainedFP8Config
    model, output, ours = quantize(product, work, *more, **changes)
    assert len(ours) == count, f"{len(ours)} layers were quantized instead of {count}"
    check_files(output, ours)
    loaded = AutoModelForCausalLM.from_pretrained(
        output, dtype=torch.float32, device_map="cpu",
        quantization_config=FineGrainedFP8Config(dequantize=True))
    for name, values in ours.items():
        assert torch.equal(loaded.get_submodule(name).weight, values), f"{name} is decoded otherwise"
    for name in ours:
        loaded.get_submodule(name).register_forward_pre_hook(rounded_input)
    with torch.no_grad():
        theirs = loaded(torch.tensor([IDS])).logits[0]
    logits = product.logits(output, IDS, work)
    difference, scale = (theirs - logits).abs().max().item(), logits.abs().max().item()
    print(f"  {' '.join(more)}: logits differ by {difference:.2e} of {scale:.1f}")
    assert difference <= 1e-3 * scale, f"logits differ by {difference} of {scale}"
    original = product.logits(model, IDS, work)
    assert (original - logits).abs().max().item() > 3 * difference, "nothing was quantized"
    check_tokens(product, output, with_torch(loaded), IDS, work, 1e-3)
    return output


def test_tiles(product, work):
    output = check(product, work)
    assert description(output) == {
        "quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
        "weight_block_size": [TILE, TILE], "modules_to_not_convert": ["lm_head"]}


def test_kept_layers(product, work):
    names = ["model.layers.0.self_attn.o_proj", "model.layers.1.mlp.down_proj"]
    overrides = [word for name in names for word in ("--override", f"{name}=keep")]
    output = check(product, work, *overrides, count=12)
    assert description(output)["modules_to_not_convert"] == [*names, "lm_head"]


def test_tied_head(product, work):
    check(product, work, tie_word_embeddings=True)


def test_tiles_cut_off_at_the_edge(product, work):
    """What transformers does not read (it divides rows evenly), the definition does."""
    model, output, ours = quantize(product, work, intermediate_size=320)
    check_files(output, ours)
    notes = json.loads((output / "bitsmith.json").read_text())["notes"]
    assert any("multiples of 128" in note for note in notes), notes


if __name__ == "__main__":
    main([test_tiles, test_kept_layers, test_tied_head, test_tiles_cut_off_at_the_edge],
         needs=["torch", "transformers", "accelerate"])
