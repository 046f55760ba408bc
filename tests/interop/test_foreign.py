# SPDX-License-Identifier: GPL-3.0-or-later
"""What auto-round, mlx-lm, compressed-tensors and llama.cpp's routines quantized, we compute as loaders of the formats
do, verify, convert to a plain model, and tell from a copy in which a scale is infinite."""

import ctypes
import json
import os
import shutil

from packed_weights import awq_weights, gptq_weights, logits_with, tensors_of
from product import main, tiny_model
from test_auto_round import IDS, logits_of
from test_compressed_tensors import groups_of, load
from test_fp8 import TILE, rounded_input
from test_gguf import file_in, wide_model
from test_mlx import mlx_logits

DAMAGED = "model.layers.1.mlp.down_proj"
OF_BF16 = 5e-3  # tolerance of logits: the package compressed-tensors decodes NVFP4 in that type


def every(product, work, model, write, load_written, tolerances):
    """Checks what `write(model, folder, case)` wrote with `load_written(model, written)`, which returns what `check`
    wants; all cases are tried."""
    failures, original = [], product.logits(model, IDS, work)
    for case, tolerance in tolerances.items():
        print(" ", case, flush=True)
        folder = work / case.replace(":", "-")
        folder.mkdir()
        try:
            written = write(model, folder, case)
            check(product, folder, model, original, written, tolerance, *load_written(model, written))
        except Exception as error:
            failures.append(f"{case}: {type(error).__name__} {error}")
    assert not failures, "\n".join(failures)


def check(product, work, model, original, written, tolerance, theirs, decoded=None):
    """`theirs`: logits by a loader. `decoded`: its weights, where it rounds activations. Numbers at the border between
    two codes part then: the weights alone make the same logits, and `tolerance` is for the noise."""
    plain = work / "plain"
    product.run("convert", written, "--format", "f32", "--output", plain, status=5 if decoded else 0)
    ours = product.logits(written, IDS, work)
    if decoded:
        check_logits(product.logits(plain, IDS, work), logits_with(model, decoded, IDS), original, OF_BF16)
        noise = float((theirs - ours).norm() / ours.norm())
        print(f"    rounded activations: {noise:.1e}")
        assert noise <= tolerance, f"logits are {noise} of noise"
    else:
        check_logits(ours, theirs, original, tolerance)
    product.run("verify", plain)
    product.run("verify", written)
    check_damage(product, written, work / f"damaged{written.suffix}")


def check_logits(ours, theirs, original, tolerance):
    apart, changed = (float((logits - ours).abs().max() / ours.abs().max()) for logits in (theirs, original))
    print(f"    largest difference {apart:.1e}, to the original model {changed:.1e}")
    assert apart <= tolerance < changed, f"logits differ by {apart}, those of the original model by {changed}"


def check_damage(product, written, copy):
    missed = []
    for name in (infinite_in_folder if written.is_dir() else infinite_in_file)(written, copy):
        try:
            assert DAMAGED in product.run("verify", copy, status=1)
        except (AssertionError, RuntimeError):
            missed.append(name)
    assert not missed, f"verify finds nothing where these are infinite: {missed}"


def infinite_in_folder(folder, copy):
    """Makes `copy` with one scale of the layer after the other infinite."""
    import torch
    from safetensors.torch import save_file
    shutil.copytree(folder, copy)
    scales = [name for name in tensors_of(folder) if name.startswith(DAMAGED) and "scale" in name]
    assert scales, f"{DAMAGED} has no scales"
    bad = {torch.uint8: 255, torch.float8_e4m3fn: float("nan")}  # these types have no infinity
    for name in scales:
        tensors = tensors_of(folder)
        tensors[name].view(-1)[:1] = bad.get(tensors[name].dtype, float("inf"))
        save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
        yield name


def infinite_in_file(file, copy):
    from gguf import GGUFReader
    tensor = next(tensor for tensor in GGUFReader(file).tensors if tensor.name == "blk.1.ffn_down.weight")
    place = tensor.data_offset + (208 if tensor.tensor_type.name == "Q6_K" else 0)
    content = file.read_bytes()
    copy.write_bytes(content[:place] + bytes.fromhex("007c") + content[place + 2:])
    yield tensor.name


def relabelled(folder, **changes):
    """A copy whose configuration says what a loader wants to read there."""
    copy = folder.with_name("relabelled")
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["quantization_config"].update(changes)
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def by_auto_round(model, folder, case):
    """`case`: format and scheme."""
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer
    os.environ["AR_WORK_SPACE"] = str(folder / "scratch")  # otherwise in the current folder
    fmt, scheme = case.split()
    integers = {"group_size": 32, "sym": not scheme.endswith("_ASYM")} if scheme.startswith("W") else {}
    AutoRound(AutoModelForCausalLM.from_pretrained(model, dtype="auto"), AutoTokenizer.from_pretrained(model),
              scheme=scheme.removesuffix("_ASYM"), iters=0, disable_opt_rtn=True, dataset=[torch.tensor([IDS])] * 4,
              nsamples=4, seqlen=len(IDS), device_map="cpu", **integers).quantize_and_save(str(folder), format=fmt)
    return next(file if file.suffix == ".gguf" else file.parent for file in folder.rglob("*")
                if file.suffix == ".gguf" or file.name == "config.json")


def load_auto_round(_, folder):
    theirs, loaded = logits_of(folder)
    return theirs, {name: module.dequant_weight_online().float() for name, module in loaded.named_modules()
                    if hasattr(module, "dequant_weight_online")}


def load_compressed_tensors(_, folder):
    # auto-round leaves the head as it is with FP8_STATIC too, but does not say so there.
    loaded, theirs = load(relabelled(folder, ignore=["lm_head"]))
    decoded = {name: module.weight for name, module in loaded.named_modules()
               if getattr(module, "quantization_scheme", None)}
    return theirs, decoded if any(group["input_activations"] for group in groups_of(folder)) else None


def load_fp8(_, folder):
    """auto-round's own format has the same tensors, and no loader on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM, FineGrainedFP8Config
    copy = relabelled(folder, quant_method="fp8", activation_scheme="dynamic", weight_block_size=[TILE, TILE],
                      modules_to_not_convert=["lm_head"])
    loaded = AutoModelForCausalLM.from_pretrained(copy, dtype=torch.float32, device_map="cpu",
                                                  quantization_config=FineGrainedFP8Config(dequantize=True))
    layers = {name: module for name, module in loaded.model.named_modules(prefix="model")
              if isinstance(module, torch.nn.Linear)}
    for module in layers.values():
        module.register_forward_pre_hook(rounded_input)
    with torch.no_grad():
        return loaded(torch.tensor([IDS])).logits[0], {name: module.weight for name, module in layers.items()}


def load_awq(model, folder):
    return (logits_with(model, awq_weights(folder), IDS),)


def load_gptq(model, folder):
    """auto-round's loader for this format takes symmetric layers only."""
    return (logits_with(model, gptq_weights(relabelled(folder, checkpoint_format="gptq")), IDS),)


def load_gguf(_, file):
    import torch
    from transformers import AutoModelForCausalLM
    loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    with torch.no_grad():
        return (loaded(torch.tensor([IDS])).logits[0],)


def test_auto_round(product, work):
    every(product, work, tiny_model(work / "model"), by_auto_round, load_auto_round, {
        "auto_round W4A16": 5e-3, "auto_round W3A16_ASYM": 5e-3, "auto_gptq W4A16": 5e-3, "auto_round MXFP4": 1e-3,
        "auto_round NVFP4": 1e-3, "auto_round MXINT4": 0.5, "auto_round FP8_STATIC": 0.1})


def test_auto_round_awq(product, work):
    every(product, work, tiny_model(work / "model"), by_auto_round, load_awq, {
        "auto_round:auto_awq W4A16_ASYM": 1e-4, "auto_awq W4A16": 1e-4, "auto_awq W4A16_ASYM": 1e-4})


def test_auto_round_gptq(product, work):
    every(product, work, tiny_model(work / "model"), by_auto_round, load_gptq, {"auto_gptq W4A16_ASYM": 1e-4})


def test_auto_round_fp8(product, work):
    every(product, work, tiny_model(work / "model"), by_auto_round, load_fp8, {
        "fp8 FP8_BLOCK": 1e-3, "auto_round FP8_BLOCK": 1e-3})


def test_auto_round_llm_compressor(product, work):
    every(product, work, tiny_model(work / "model"), by_auto_round, load_compressed_tensors, {
        "llm_compressor W4A16": OF_BF16, "llm_compressor INT8_W8A8": 0.1, "llm_compressor FP8_STATIC": 0.1,
        "llm_compressor FP8_BLOCK": 0.1, "llm_compressor MXFP4": 0.3, "llm_compressor NVFP4": 0.3})


def test_auto_round_gguf(product, work):
    from auto_round.export.export_to_gguf.llama_cpp_conversion import get_conversion
    # llama.cpp's converter, which it uses, knows the tokenizers of releases only.
    get_conversion().get_model_class("LlamaForCausalLM").get_vocab_base_pre = lambda *_: "gpt-2"
    every(product, work, wide_model(work), by_auto_round, load_gguf, {
        "gguf:q4_0 gguf:q4_0": 2e-4, "gguf:q4_k_m gguf:q4_k_m": 2e-4})


def by_compressed_tensors(model, folder, scheme):
    """The package packs what others measured: here the range of the numbers under each scale."""
    import torch
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config, preset_name_to_scheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    from transformers import AutoModelForCausalLM
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    group = preset_name_to_scheme(scheme, ["Linear"])
    apply_quantization_config(loaded, QuantizationConfig(config_groups={"group_0": group}, ignore=["lm_head"]))
    for layer in [module for module in loaded.modules() if hasattr(module, "quantization_scheme")]:
        rows, columns = layer.weight_scale.shape if layer.weight_scale.dim() == 2 else (1, 1)
        tiles = layer.weight.detach().unflatten(1, (columns, -1)).unflatten(0, (rows, -1))
        least, largest = tiles.amin((1, 3)), tiles.amax((1, 3))
        whole = generate_gparam(least.min(), largest.max()) if hasattr(layer, "weight_global_scale") else None
        scales, zeros = calculate_qparams(least, largest, group.weights, whole)
        values = {"weight_scale": scales, "weight_zero_point": zeros, "weight_global_scale": whole,
                  "input_scale": torch.tensor(0.02), "input_global_scale": torch.tensor(300.0)}
        for name in values.keys() & dict(layer.named_parameters()).keys():
            parameter = layer.get_parameter(name)
            parameter.data.copy_(values[name].reshape(parameter.shape))
    compressor = ModelCompressor.from_pretrained_model(loaded)
    compressor.compress_model(loaded)
    loaded.save_pretrained(folder / "written")
    compressor.update_config(folder / "written")
    return folder / "written"


def test_compressed_tensors(product, work):
    every(product, work, tiny_model(work / "model"), by_compressed_tensors, load_compressed_tensors, {
        "W4A16_ASYM": OF_BF16, "NVFP4A16": OF_BF16, "MXFP8A16": OF_BF16, "W6A8": 0.1, "W4AFP8": 0.1, "FP8": 0.1,
        "MXFP4": 0.3})


def by_mlx_lm(model, folder, case):
    from mlx_lm import convert
    rules = {"mixed_3_6": {"quant_predicate": "mixed_3_6"}}  # or a mode
    convert(str(model), str(folder / "written"), quantize=True, **rules.get(case, {"q_mode": case}))
    return folder / "written"


def test_mlx(product, work):
    every(product, work, tiny_model(work / "model"), by_mlx_lm, lambda _, folder: mlx_logits(folder)[:1], {
        "affine": 2e-3, "mixed_3_6": 2e-3, "mxfp4": 2e-3})


def by_llama_cpp(model, folder, case):
    """Our plain file of the model, in which llama.cpp quantized the matrices."""
    import gguf
    import numpy
    import xllamacpp
    quantize = ctypes.CDLL(xllamacpp.xllamacpp.__file__).ggml_quantize_chunk
    kind = gguf.GGMLQuantizationType[case]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    reader, writer = gguf.GGUFReader(file_in(model.with_name("plain"))), gguf.GGUFWriter(folder / "model.gguf", "llama")
    for name, field in reader.fields.items():
        if not name.startswith(("GGUF.", "general.architecture")):  # the writer's own
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1])
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if values.ndim == 1:
            writer.add_tensor(tensor.name, values)
            continue
        rows, columns = map(ctypes.c_int64, values.shape)
        data = numpy.empty((rows.value, columns.value // block * size), numpy.uint8)
        quantize(kind.value, values.ctypes, data.ctypes, ctypes.c_int64(0), rows, columns, None)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf"


def test_llama_cpp(product, work):
    model = wide_model(work)
    product.run("convert", model, "--format", "gguf", "--output", work / "plain")
    every(product, work, model, by_llama_cpp, load_gguf, {"Q4_0": 2e-4, "Q8_0": 2e-4, "Q4_K": 2e-4, "Q6_K": 2e-4})


if __name__ == "__main__":
    # Other programs load other programs' files here: what they say is not about ours.
    main([test_auto_round, test_auto_round_awq, test_auto_round_gptq, test_auto_round_fp8,
          test_auto_round_llm_compressor, test_auto_round_gguf, test_compressed_tensors, test_mlx, test_llama_cpp],
         needs=["torch", "transformers", "accelerate", "auto_round", "compressed_tensors", "mlx", "mlx_lm", "gguf",
                "xllamacpp"], harmless=["."])
