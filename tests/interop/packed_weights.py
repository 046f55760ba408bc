# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of GPTQ and AWQ folders by the definitions of the formats (formats.md 3.1, 4), in numpy, and what
transformers computes with such weights in the model they were made from."""

import json
import re
import shutil

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def quantization(folder):
    return json.loads((folder / "config.json").read_text())["quantization_config"]


def weights_only(folder, target):
    """A copy of an auto_round folder that says nothing of inputs, so that only its weights count."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    rules = config["quantization_config"]
    for rule in [rules, *rules.get("extra_config", {}).values()]:
        rule["act_bits"] = 16
    (target / "config.json").write_text(json.dumps(config))
    return target


def tensors_of(folder):
    from safetensors.torch import load_file
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def packed_layers(tensors):
    return [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]


def unpacked(words, bits):
    """Rows of 32-bit words as little-endian streams of numbers."""
    import numpy
    stream = numpy.unpackbits(numpy.ascontiguousarray(words).view(numpy.uint8), axis=1, bitorder="little")
    return stream.reshape(words.shape[0], -1, bits) @ (1 << numpy.arange(bits))


def gptq_rule(config, layer):
    """Bits of a layer; None where it is left alone. The first match at the start wins, as in GPTQModel."""
    for key, values in config.get("dynamic", {}).items():
        if re.match(key[2:], layer):
            return None if key.startswith("-:") else values["bits"]
    return config["bits"]


def gptq_weights(folder):
    import numpy
    import torch
    config, tensors, weights = quantization(folder), tensors_of(folder), {}
    shift = {"gptq": 1, "gptq_v2": 0}[config["checkpoint_format"]]
    for layer in packed_layers(tensors):
        part = {name: tensors[f"{layer}.{name}"].numpy() for name in ("qweight", "qzeros", "scales", "g_idx")}
        bits = gptq_rule(config, layer)
        codes = unpacked(part["qweight"].T, bits)
        zeros = (unpacked(part["qzeros"], bits) + shift)[part["g_idx"]].T
        scales = part["scales"].astype(numpy.float32)[part["g_idx"]].T
        weights[layer] = torch.from_numpy((scales * (codes - zeros)).astype(numpy.float32))
    return weights


def awq_weights(folder):
    import numpy
    import torch
    tensors, weights = tensors_of(folder), {}

    def outputs(name):
        nibbles = unpacked(tensors[name].numpy(), 4)
        values = numpy.empty_like(nibbles).reshape(nibbles.shape[0], -1, 8)
        values[:, :, AWQ_ORDER] = nibbles.reshape(values.shape)
        return values.reshape(nibbles.shape)

    for layer in packed_layers(tensors):
        codes, zeros = outputs(layer + ".qweight"), outputs(layer + ".qzeros")
        scales = tensors[layer + ".scales"].numpy().astype(numpy.float32)
        group = codes.shape[0] // zeros.shape[0]
        values = (codes - zeros.repeat(group, 0)) * scales.repeat(group, 0)
        weights[layer] = torch.from_numpy(values.T.astype(numpy.float32).copy())
    return weights


def logits_with(model, weights, ids):
    """Logits of the folder `model` with the weights of some layers replaced, all in fp32."""
    import torch
    from transformers import AutoModelForCausalLM
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, device_map="cpu")
    with torch.no_grad():
        for layer, values in weights.items():
            loaded.get_submodule(layer).weight.copy_(values)
        return loaded(torch.tensor([ids])).logits[0]


def compare(product, work, model, output, theirs, ids, tolerance):
    """`theirs` are what we compute from `output`, and nearer to it than the original model is."""
    ours, original = product.logits(output, ids, work), product.logits(model, ids, work)
    difference = (theirs - ours).abs().max().item()
    scale = ours.abs().max().item()
    print(f"    largest difference {difference:.2e} of {scale:.1f}")
    assert difference <= tolerance * scale, f"logits differ by {difference} where the largest is {scale}"
    assert (original - ours).abs().max().item() > 3 * difference, "nothing was quantized"
