# SPDX-License-Identifier: GPL-3.0-or-later
"""mlx decodes our weights, and mlx-lm runs our folders, on the CPU."""

import json
import os

from product import OF_THE_TEST_MODEL, check_tokens, every_scheme, main, tiny_model
from run_weights import run_weights
from test_compressed_tensors import IDS

os.environ["MLX_DISABLE_COMPILE"] = "1"  # it would want a C++ compiler

ROUNDING = 2.0 ** -8  # to bf16, of a scale and, where zero points differ, of an offset


def rules_of(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"] == config["quantization"]
    return config["quantization"]


def mlx_weights(folder):
    """Decoded in fp32 by mlx: name of the layer -> values."""
    import mlx.core as mx
    import torch
    tensors = mx.load(str(folder / "model.safetensors"))
    weights = {}
    for name, rule in rules_of(folder).items():
        if not isinstance(rule, dict):
            continue
        parts = [tensors[f"{name}.{part}"] for part in ("scales", "biases") if f"{name}.{part}" in tensors]
        parts = [part if part.dtype == mx.uint8 else part.astype(mx.float32) for part in parts]
        values = mx.dequantize(tensors[f"{name}.weight"], *parts, group_size=rule["group_size"],
                               bits=rule["bits"], mode=rule.get("mode", "affine"), dtype=mx.float32)
        weights[name] = torch.tensor(values.tolist())
    return weights


def mlx_logits(folder):
    """In fp32, so that what is left are the differences of the files; the modules that are quantized; and what
    check_tokens asks for."""
    import mlx.core as mx
    import torch
    from mlx_lm.utils import load_model
    model, _ = load_model(folder)  # strict: every tensor has its place
    quantized = {name for name, module in model.named_modules()
                 if type(module).__name__.startswith("Quantized")}
    model.set_dtype(mx.float32)

    def logits_after(ids):
        return torch.tensor(model(mx.array([ids]))[0].tolist())
    return logits_after(IDS), quantized, lambda ids: logits_after(ids)[-1]


def spread(values, columns):
    return values.repeat_interleave(columns // values.shape[1], 1)


def check_weights(output, ours, exact):
    """As near as the rounding of scales and offsets allows (formats.md 8), which is relative to the range of a group:
    a little more than its largest value."""
    import torch
    theirs, rules = mlx_weights(output), rules_of(output)
    assert theirs.keys() == ours.keys(), theirs.keys() ^ ours.keys()
    worst = 0.0
    for name, values in ours.items():
        rows, columns = values.shape
        group = rules[name]["group_size"]
        largest = values.abs().reshape(rows, columns // group, group).amax(-1)
        limit = spread(largest, columns)
        share = torch.where(limit > 0, (theirs[name] - values).abs() / limit.clamp_min(1e-30), 0.0)
        worst = max(worst, share.max().item())
    print(f"    weights: largest difference {worst:.2e} of the largest in their group")
    assert worst <= (0 if exact else 2.5 * ROUNDING), f"weights differ by {worst}"


def check(product, work, scheme, *more, count=14, family="llama", **changes):
    model = tiny_model(work / "model", family, **changes)
    output, run = product.quantize(model, scheme, "mlx", work, *more)
    print(f"  {family} {scheme} {' '.join(more)}")
    ours = run_weights(run)
    assert len(ours) == count, f"{len(ours)} layers were quantized instead of {count}"
    exact = scheme.startswith("MXFP")
    check_weights(output, ours, exact)
    theirs, quantized, last_logits = mlx_logits(output)
    assert quantized == set(ours), f"quantized otherwise: {quantized ^ set(ours)}"
    # Decoded values of MX are numbers of bf16; those of integers are not, so the export itself is read.
    reference = output
    if exact:
        reference = work / "decoded"
        product.run("export", run, "--format", "fake", "--output", reference)
    logits = product.logits(reference, IDS, work)
    difference, scale = (theirs - logits).abs().max().item(), logits.abs().max().item()
    print(f"    logits: largest difference {difference:.2e} of {scale:.1f}")
    assert difference <= 2e-3 * scale, f"logits differ by {difference} of {scale}"
    original = product.logits(model, IDS, work)
    assert (original - logits).abs().max().item() > 3 * difference, "nothing was quantized"
    check_tokens(product, reference, last_logits, IDS, work, 2e-3)


MIXTURES = {  # module of the experts in mlx-lm, and what it calls the matrices of ours
    "mixtral": ("block_sparse_moe.switch_mlp", {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}),
    "qwen3_moe": ("mlp.switch_mlp", {}),
    "gpt_oss": ("mlp.experts", {}),
}


def modules_of(ours, family):
    """Experts stacked under the path that mlx-lm has for them, in order; other layers as they are."""
    import torch
    module, words = MIXTURES[family]
    modules = {}
    for layer, values in ours.items():
        if ".experts." not in layer:
            modules[layer] = values
            continue
        block, expert, word = ".".join(layer.split(".")[:3]), *layer.split(".")[-2:]
        modules.setdefault(f"{block}.{module}.{words.get(word, word)}", {})[int(expert)] = values
    return {name: values if torch.is_tensor(values) else torch.stack([values[e] for e in sorted(values)])
            for name, values in modules.items()}


def decoded_folder(model, ours, folder):
    """The model with our values in place of its own."""
    import torch
    from transformers import AutoModelForCausalLM
    decoded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        for layer, values in ours.items():
            parent, _, name = layer.rpartition(".")
            if ".experts." not in layer:
                decoded.get_submodule(layer).weight.copy_(values)
                continue
            experts, _, expert = parent.rpartition(".")
            module = decoded.get_submodule(experts)
            if name == "down_proj":
                module.down_proj[int(expert)] = values.T
            else:
                module.gate_up_proj[int(expert)][:, int(name == "up_proj")::2] = values.T
    decoded.save_pretrained(folder)
    return folder


def check_experts(product, work, family, **changes):
    model = tiny_model(work / "model", family, dtype="float32", num_experts_per_tok=2, **changes)
    output, run = product.quantize(model, "W4A16G32", "mlx", work)
    ours = run_weights(run)
    assert len(ours) == 2 * (4 + 3 * 4), f"{len(ours)} layers were quantized"
    expected, found = modules_of(ours, family), mlx_weights(output)
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    for name, values in expected.items():
        apart = (found[name] - values).abs().max().item()
        assert apart <= 1e-6 * values.abs().max().item(), f"{name} differs by {apart}"
    theirs, quantized, last_logits = mlx_logits(output)
    assert quantized == expected.keys(), f"quantized otherwise: {quantized ^ expected.keys()}"
    if family == "gpt_oss":  # whose experts transformers stores stacked
        reference = decoded_folder(model, ours, work / "decoded")
    else:
        reference = work / "decoded"
        product.run("export", run, "--format", "fake", "--output", reference)
    logits = product.logits(reference, IDS, work)
    difference, scale = (theirs - logits).abs().max().item(), logits.abs().max().item()
    print(f"  {family}: {len(expected)} modules, logits: largest difference {difference:.2e} of {scale:.1f}")
    assert difference <= 2e-3 * scale, f"logits differ by {difference} of {scale}"
    original = product.logits(model, IDS, work)
    assert (original - logits).abs().max().item() > 3 * difference, "nothing was quantized"
    check_tokens(product, reference, last_logits, IDS, work, 2e-3)


def test_mixtral(product, work):
    check_experts(product, work, "mixtral", num_local_experts=4)


def test_qwen3_moe(product, work):
    check_experts(product, work, "qwen3_moe", num_experts=4, moe_intermediate_size=64, norm_topk_prob=True)


def test_gpt_oss(product, work):
    """mlx-lm always rounds the range of YaRN; released models do not."""
    check_experts(product, work, "gpt_oss", num_local_experts=4, sliding_window=16, rope_parameters={
        "rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "truncate": True, "original_max_position_embeddings": 4096})


def test_mixed_widths_and_kept_layers(product, work):
    check(product, work, "W4A16G32", "--override", "*.mlp.down_proj=W8A16G32",
          "--override", "model.layers.0.self_attn.o_proj=keep", count=13)


def test_qwen2(product, work):
    check(product, work, "W4A16G32", family="qwen2", tie_word_embeddings=True)


def test_qwen3(product, work):
    check(product, work, "W4A16G32", family="qwen3")


def test_gemma3(product, work):
    check(product, work, "W4A16G32", family="gemma3_text", tie_word_embeddings=True, sliding_window=512,
          query_pre_attn_scalar=32, layer_types=["sliding_attention", "full_attention"])


def test_llama3_rotary_scaling(product, work):
    check(product, work, "W4A16G32", rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64})


if __name__ == "__main__":
    main([every_scheme("mlx", check),
          test_mixed_widths_and_kept_layers, test_qwen2, test_qwen3, test_gemma3,
          test_llama3_rotary_scaling, test_mixtral, test_qwen3_moe, test_gpt_oss],
         needs=["torch", "transformers", "mlx", "mlx_lm"], harmless=OF_THE_TEST_MODEL)
