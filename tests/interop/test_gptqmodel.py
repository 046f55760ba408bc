# SPDX-License-Identifier: GPL-3.0-or-later
"""GPTQModel loads our GPTQ folders, computes our logits and generates our tokens, with its kernel for the CPU."""

import os

from packed_weights import quantization
from product import demo_model, main, tiny_model

os.environ["TORCH_COMPILE_DISABLE"] = "1"  # its kernel would be compiled anew for every shape

IDS = [40, 77, 12, 9, 200, 31, 5, 64, 64, 101, 18, 250, 3, 90, 41, 7]
TOKENS = 64


def load(folder):
    """The model by GPTQModel, and the names of its packed layers."""
    import torch
    from gptqmodel import BACKEND, GPTQModel
    from logbar import LogBar
    LogBar.shared().setLevel("ERROR")
    # Its kernel takes 16-bit types; made wider afterwards, what is left are the differences of the files.
    loaded = GPTQModel.load(str(folder), device="cpu", backend=BACKEND.GPTQ_TORCH, dtype=torch.float16)
    torch.nn.Module.float(loaded.model)  # transformers refuses its own
    packed = [name for name, module in loaded.model.named_modules() if type(module).__name__ == "TorchLinear"]
    return loaded.model, packed


def check_logits(product, work, model, output, loaded):
    import torch
    with torch.no_grad():
        theirs = loaded(torch.tensor([IDS])).logits[0]
    ours, original = product.logits(output, IDS, work), product.logits(model, IDS, work)
    difference, scale = (theirs - ours).abs().max().item(), ours.abs().max().item()
    print(f"    logits: largest difference {difference:.2e} of {scale:.1f}")
    assert difference <= 1e-3 * scale, f"logits differ by {difference} where the largest is {scale}"
    assert (original - ours).abs().max().item() > 3 * difference, "nothing was quantized"


def check_tokens(product, output, loaded, prompt):
    import torch
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(output)
    ids = torch.tensor([tokenizer(prompt).input_ids])
    with torch.no_grad():
        found = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False)
    theirs, ours = tokenizer.decode(found[0, ids.shape[1]:]), product.generate(output, prompt, TOKENS)
    print(f"    {found.shape[1] - ids.shape[1]} tokens: {ours[:40]!r}")
    assert theirs == ours, f"GPTQModel goes on with {theirs!r}, we with {ours!r}"


def check(product, work, model, scheme, *more, version="gptq", packed=14):
    output, _ = product.quantize(model, scheme, "auto_gptq", work, *more)
    assert quantization(output)["checkpoint_format"] == version
    loaded, names = load(output)
    assert len(names) == packed, f"{len(names)} packed layers were loaded instead of {packed}: {names}"
    print(f"  {scheme} {' '.join(more)}")
    check_logits(product, work, model, output, loaded)
    check_tokens(product, output, loaded, "the inn and the")


def check_schemes(product, work, schemes, *more, version="gptq", **changes):
    model = tiny_model(work / "model", **changes)
    for scheme in schemes:
        folder = work / scheme
        folder.mkdir()
        check(product, folder, model, scheme, *more, version=version)


def test_symmetric(product, work):
    check_schemes(product, work, ["W2A16G32", "W3A16G64", "W4A16G64", "W4A16G128", "W8A16G128"])


def test_asymmetric(product, work):
    check_schemes(product, work, ["W3A16G64_ASYM", "W4A16G64_ASYM", "W4A16G128_ASYM", "W8A16G64_ASYM"],
                  version="gptq_v2")


def test_one_group_per_row(product, work):
    check_schemes(product, work, ["W4A16"], "--group-size", "-1")


def test_biases(product, work):
    # Of qwen2 it would want the padding token of the released tokenizer.
    check_schemes(product, work, ["W4A16G64"], attention_bias=True, mlp_bias=True)


def test_mixed_bits_and_kept_layers(product, work):
    check(product, work, tiny_model(work / "model"), "W4A16G64", "--override", "*.mlp.down_proj=W8A16G128",
          "--override", "model.layers.1.self_attn.*=W3A16G32", "--override", "model.layers.0.self_attn.o_proj=keep",
          packed=13)


def test_quantized_head(product, work):
    check(product, work, tiny_model(work / "model", vocab_size=288), "W4A16G64", "--override", "lm_head=W8A16G64",
          packed=15)


def test_demo(product, work):
    model = demo_model()
    if model is None:
        print("  skipped: the demo model is not in the cache")
        return
    output, _ = product.quantize(model, "W4A16G64", "auto_gptq", work)
    loaded, names = load(output)
    assert len(names) == 210, f"{len(names)} packed layers were loaded instead of 210"
    check_tokens(product, output, loaded, "The history of the steam engine begins")


if __name__ == "__main__":
    main([test_symmetric, test_asymmetric, test_one_group_per_row, test_biases, test_mixed_bits_and_kept_layers,
          test_quantized_head, test_demo],
         needs=["torch", "transformers", "gptqmodel"],
         harmless=["weights are not tied"])  # it places the model on a device before it ties it
