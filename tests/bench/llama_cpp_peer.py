# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantizes a model with llama.cpp's own routine and an importance matrix; writes decoded weights.

    llama_cpp_peer.py MODEL CALIBRATION.safetensors OUT Q4_0|Q2_K|Q4_K|...

The routine is taken from the library inside the package xllamacpp. As in llama.cpp the importance of an input channel
is its mean square over the calibration tokens, and an embedding that is the head as well becomes Q6_K, or Q8_0 where
its width does not allow that.
"""
import ctypes
import sys

import gguf
import numpy
import torch
import xllamacpp
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def importances(model, ids):
    sums = {}

    def hook(name):
        def add(_, inputs):
            x = inputs[0].detach().flatten(0, -2).double()
            sums[name] = sums.get(name, 0) + x.square().sum(0)
        return add

    handles = [module.register_forward_pre_hook(hook(name)) for name, module in model.named_modules()
               if isinstance(module, torch.nn.Linear) and name != "lm_head"]
    with torch.no_grad():
        for batch in ids.split(8):
            model(batch)
    for handle in handles:
        handle.remove()
    return {name: (total / ids.numel()).float().numpy() for name, total in sums.items()}


class Routine:
    def __init__(self):
        self.quantize = ctypes.CDLL(xllamacpp.xllamacpp.__file__).ggml_quantize_chunk
        floats = numpy.ctypeslib.ndpointer(numpy.float32, flags="C")
        self.quantize.restype = ctypes.c_size_t
        self.quantize.argtypes = [ctypes.c_int, floats, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
                                  ctypes.c_void_p]

    def replace(self, weight, kind, importance=None):
        """Gives a weight the values that it has in `kind`."""
        values = numpy.ascontiguousarray(weight.detach().numpy())
        rows, columns = values.shape
        block, size = gguf.GGML_QUANT_SIZES[kind]
        assert columns % block == 0, f"{columns} columns"
        data = numpy.empty((rows, columns // block * size), numpy.uint8)
        counted = None if importance is None else importance.ctypes.data
        assert self.quantize(kind.value, values, data.ctypes.data, 0, rows, columns, counted) == data.nbytes
        with torch.no_grad():
            weight.copy_(torch.from_numpy(gguf.quants.dequantize(data, kind)))


def main():
    folder, calibration, out, word = sys.argv[1:5]
    kind = gguf.GGMLQuantizationType[word]
    routine = Routine()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, importance in importances(model, load_file(calibration)["input_ids"]).items():
        routine.replace(model.get_submodule(name).weight, kind, importance)
    embedding = model.get_input_embeddings().weight
    assert embedding is model.get_output_embeddings().weight
    kinds = gguf.GGMLQuantizationType
    routine.replace(embedding, kinds.Q6_K if embedding.shape[1] % 256 == 0 else kinds.Q8_0)
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)


if __name__ == "__main__":
    main()
