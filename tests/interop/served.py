# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of vLLM and SGLang share. Both run without their kernels: they read the configuration of an export,
build their own model from it as for an H100, and load its tensors into that. An `engine` below is a function of an
export's folder that gives (model, what loads it, name -> how each linear layer computes)."""

import json
import os
import re
import shutil

from product import cache_scales, rounding, tiny_model

os.environ["TQDM_DISABLE"] = "1"

LAYERS = {"lm_head"} | {f"layers.{block}.{layer}" for block in range(2) for layer in
                        ["self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"]}


def keep(*patterns):
    """Arguments by which layers are not quantized."""
    return [word for pattern in patterns for word in ("--override", f"{pattern}=keep")]


def model_in(work, family):
    """A model whose layers hold whole tiles of 128, and whose vocabulary needs no padding."""
    folder = work / family
    return folder if folder.exists() else tiny_model(folder, family, vocab_size=320, num_key_value_heads=4)


def export(product, work, fmt, scheme, *more, family="llama"):
    model, output = model_in(work, family), work / f"export-{len(list(work.iterdir()))}"
    product.run("quantize", model, "--scheme", scheme, "--format", fmt, "--output", output, "--run-dir",
                work / f"run-{output.name}", *rounding(scheme, work), "--json", *more)
    return output


def methods_of(model, classes, *attributes):
    """How each layer of one of the classes computes: the types of its method and of some parts of it."""
    methods = {}
    for name, module in model.named_modules():
        if isinstance(module, classes):
            parts = [module.quant_method, *(read(module) for read in attributes)]
            methods[name] = "/".join(type(part).__name__ for part in parts if part is not None)
    return methods


def bytes_over(load, model, filling):
    """The bytes of the parameters of `model` when the export is loaded over a filling."""
    import torch
    bytes_of = {name: values.data.view(-1).view(torch.uint8) for name, values in model.named_parameters()}
    for values in bytes_of.values():
        values.fill_(filling)
    load()
    return {name: values.clone() for name, values in bytes_of.items()}


def check_filled(model, load):
    """Every byte of the parameters comes from the export, apart from what it may lack: scales of a cache, and the
    order of inputs, which is read with desc_act only."""
    first, second = bytes_over(load, model, 0x00), bytes_over(load, model, 0xFF)
    left = [name for name, values in first.items()
            if ".attn." not in name and not name.endswith(".g_idx") and not values.equal(second[name])]
    assert not left, f"not in the export: {left}"


def check_loading(output, engine, *words, kept=("lm_head",)):
    """`kept`: layers that are not quantized, by the names of the engine, which joins some, without `model.`."""
    model, load, methods = engine(output)
    check_filled(model, load)
    methods = {name.removeprefix("model."): method for name, method in methods.items()}
    assert set(methods) == LAYERS, f"layers: {sorted(methods)}"
    plain = {name for name, method in methods.items() if method.startswith("Unquantized")}
    assert plain == set(kept), f"not quantized are {sorted(plain)}"
    print(f"  {' '.join(words)}: {', '.join(sorted(set(methods.values())))}")


def check(product, work, engine, fmt, scheme, *more, kept=("lm_head",), family="llama"):
    check_loading(export(product, work, fmt, scheme, *more, family=family), engine, fmt, scheme, *more, kept=kept)


def check_claim(product, work, engine, runtime, refusals, fmt, scheme):
    """The program loads an export if and only if the export says so, and otherwise refuses it in its own words."""
    output = export(product, work, fmt, scheme)
    claimed = runtime in json.loads((output / "bitsmith.json").read_text())["runtimes"]
    try:
        check_loading(output, engine, fmt, scheme)
        loaded = True
    except Exception as error:
        assert re.search(refusals, str(error)), f"{fmt} {scheme} is refused for another reason: {error}"
        product.exported.pop()  # the table is about what was loaded
        print(f"  {fmt} {scheme}: refused, {type(error).__name__} {str(error)[:100]!r}")
        loaded = False
    assert loaded == claimed, f"{fmt} {scheme}: the export says {claimed}, {runtime} {loaded}"
    shutil.rmtree(output)


def shared_tests(engine, runtime, refusals, fp8_family):
    """Tests of what both take. `runtime`: what we call the program; `refusals`: an expression for how it says that it
    does not take a folder; and the family for FP8 in tiles."""

    def test_every_scheme(product, work):
        for fmt, more in {"auto_gptq": [], "auto_awq": [], "auto_round": [], "llm_compressor": ["W4A8"]}.items():
            for scheme in [*product.schemes_of(fmt), *more]:
                check_claim(product, work, engine, runtime, refusals, fmt, scheme)

    def test_gptq(product, work):
        check(product, work, engine, "auto_gptq", "W4A16", "--group-size", "-1")
        check(product, work, engine, "auto_gptq", "W4A16", "--override", "lm_head=W8A16", kept=[])

    def test_gptq_mixed(product, work):
        check(product, work, engine, "auto_gptq", "W4A16", "--override", "*.mlp.down_proj=W8A16G64",
              "--override", "model.layers.0.self_attn.*=W8A16", *keep("model.layers.1.mlp.*"),
              kept=["layers.1.mlp.gate_up_proj", "layers.1.mlp.down_proj", "lm_head"])

    def test_awq_mixed(product, work):
        check(product, work, engine, "auto_awq", "W4A16_ASYM", *keep("model.layers.0.mlp.*", "*.1.self_attn.o_proj"),
              kept=["layers.0.mlp.gate_up_proj", "layers.0.mlp.down_proj", "layers.1.self_attn.o_proj", "lm_head"])

    def test_auto_round_mixed(product, work):
        check(product, work, engine, "auto_round", "W4A16", "--override", "lm_head=W8A16", kept=[])
        check(product, work, engine, "auto_round", "W4A16", "--override", "model.layers.0.self_attn.*=W8A16",
              *keep("model.layers.1.self_attn.*"),
              kept=["layers.1.self_attn.qkv_proj", "layers.1.self_attn.o_proj", "lm_head"])

    def test_compressed_tensors_mixed(product, work):
        check(product, work, engine, "llm_compressor", "W4A16", "--override", "*.mlp.down_proj=FP8_DYNAMIC",
              "--override", "model.layers.0.self_attn.*=W8A16", "--override", "lm_head=W8A16",
              *keep("model.layers.1.self_attn.*"),
              kept=["layers.1.self_attn.qkv_proj", "layers.1.self_attn.o_proj"])

    def test_cache_in_fp8(product, work):
        output = export(product, work, "llm_compressor", "FP8_STATIC", "--static-kv-dtype", "fp8")
        model, load, _ = engine(output)
        load()
        found = {name.replace(".attn.", "."): values.flatten() for name, values in model.named_parameters()
                 if name.endswith((".attn.k_scale", ".attn.v_scale"))}
        scales = cache_scales(output)
        assert found.keys() == scales.keys(), f"the cache has the scales {sorted(found)}"
        assert all(found[name].equal(values) for name, values in scales.items()), f"{found}, not {scales}"

    def test_fp8(product, work):
        check(product, work, engine, "fp8", "FP8_BLOCK", family=fp8_family)
        for scheme in ["FP8_STATIC", "FP8_DYNAMIC"]:
            check(product, work, engine, "fp8", scheme, "--group-size", "0")
        check(product, work, engine, "fp8", "FP8_BLOCK", *keep("model.layers.0.self_attn.*", "*.1.mlp.down_proj"),
              kept=["layers.0.self_attn.qkv_proj", "layers.0.self_attn.o_proj", "layers.1.mlp.down_proj", "lm_head"],
              family=fp8_family)

    return [test_every_scheme, test_gptq, test_gptq_mixed, test_awq_mixed, test_auto_round_mixed,
            test_compressed_tensors_mixed, test_cache_in_fp8, test_fp8]
