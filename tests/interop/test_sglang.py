# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang takes our exports without running them: it accepts their configuration for an H100, builds its model with the
layers quantized that we quantized, and finds in the export all that its model is made of."""

import os
import sys
import tempfile
import types
from functools import cache
from pathlib import Path

import standins
from product import main, tiny_model
from served import check, check_refused, keep

ABSENT = ["IPython", "aiohttp", "cuda", "cutlass", "deep_gemm", "flashinfer", "openai", "openai_harmony",
          "partial_json_parser", "pynvml", "starlette", "torchvision", "triton", "tvm_ffi", "uvloop"]


def pretend_gpu():
    """What torch says about its devices becomes that of an H100."""
    import torch
    properties = types.SimpleNamespace(name="NVIDIA H100", major=9, minor=0, total_memory=80 << 30,
                                       multi_processor_count=132, shared_memory_per_block_optin=227 << 10)
    for name, value in {"is_available": True, "device_count": 1, "current_device": 0, "set_device": None,
                        "get_device_capability": (9, 0), "get_device_name": properties.name,
                        "get_device_properties": properties, "mem_get_info": (80 << 30, 80 << 30)}.items():
        setattr(torch.cuda, name, lambda *arguments, value=value: value)


@cache
def prepared():
    """SGLang as on a machine with an H100, whose memory is the CPU's."""
    # torch must see that triton is absent.
    import torch
    import torch._inductor.compile_fx
    import transformers  # noqa: F401
    sys.setdlopenflags(os.RTLD_LAZY)  # its kernels are linked against the driver
    standins.install(*ABSENT)
    pretend_gpu()
    import sglang  # noqa: F401
    sys.modules["transformers"].AutoImageProcessor = standins.Anything  # wants torchvision
    from sglang.srt.distributed import init_distributed_environment, initialize_model_parallel, parallel_state
    from sglang.srt.models.llama import LlamaForCausalLM
    from sglang.srt.models.qwen3 import Qwen3ForCausalLM
    from sglang.srt.models.registry import ModelRegistry
    from sglang.srt.runtime_context import get_parallel
    from sglang.srt.server_args import ServerArgs, set_global_server_args_for_scheduler
    ModelRegistry.models.update(LlamaForCausalLM=LlamaForCausalLM, Qwen3ForCausalLM=Qwen3ForCausalLM)
    ModelRegistry._default_models_loaded = True  # the others want more packages
    scratch = Path(tempfile.mkdtemp(prefix="bitsmith-sglang-"))
    set_global_server_args_for_scheduler(ServerArgs(model_path=str(tiny_model(scratch / "model")), device="cpu"))
    parallel_state._group_coordinator_device = lambda rank: torch.device("cpu")
    init_distributed_environment(1, 0, f"file://{scratch}/rendezvous", 0, "gloo")
    initialize_model_parallel(backend="gloo")
    place = get_parallel().override(tp_rank=0, tp_size=1, attn_tp_rank=0, attn_tp_size=1, pp_rank=0, pp_size=1)
    place.__enter__()
    return place  # for as long as it lives


def engine(folder):
    prepared()
    import torch
    from sglang.srt.configs.load_config import LoadConfig
    from sglang.srt.configs.model_config import ModelConfig
    from sglang.srt.layers.linear import LinearBase
    from sglang.srt.layers.vocab_parallel_embedding import ParallelLMHead
    from sglang.srt.model_loader import loader
    config, settings = ModelConfig(model_path=str(folder)), LoadConfig()
    quantization = loader._get_quantization_config(config, settings)
    torch.set_default_dtype(config.dtype)
    model = loader._initialize_model(config, settings, quantization)

    def load():
        model.load_weights(loader.DefaultModelLoader(settings)._get_all_weights(config, model))

    methods = {}
    for name, module in model.named_modules():
        if isinstance(module, (LinearBase, ParallelLMHead)):
            parts = [module.quant_method, getattr(module, "scheme", None)]
            methods[name] = "/".join(type(part).__name__ for part in parts if part is not None)
    return model, load, methods


def test_gptq(product, work):
    for scheme in ["W4A16G64", "W4A16", "W8A16"]:
        check(product, work, engine, "auto_gptq", scheme)
    check(product, work, engine, "auto_gptq", "W4A16", "--group-size", "-1")
    check(product, work, engine, "auto_gptq", "W4A16", "--override", "lm_head=W8A16", kept=[])


def test_gptq_mixed(product, work):
    check(product, work, engine, "auto_gptq", "W4A16", "--override", "*.mlp.down_proj=W8A16G64",
          "--override", "model.layers.0.self_attn.*=W8A16", *keep("model.layers.1.mlp.*"),
          kept=["layers.1.mlp.gate_up_proj", "layers.1.mlp.down_proj", "lm_head"])


def test_awq(product, work):
    for scheme in ["W4A16_ASYM", "W4A16G64_ASYM", "W4A16"]:
        check(product, work, engine, "auto_awq", scheme)
    check(product, work, engine, "auto_awq", "W4A16_ASYM", *keep("model.layers.0.mlp.*", "*.1.self_attn.o_proj"),
          kept=["layers.0.mlp.gate_up_proj", "layers.0.mlp.down_proj", "layers.1.self_attn.o_proj", "lm_head"])


def test_auto_round(product, work):
    for scheme in ["W4A16", "W8A16", "W4A16_ASYM"]:
        check(product, work, engine, "auto_round", scheme)
    check(product, work, engine, "auto_round", "W4A16", "--override", "lm_head=W8A16", kept=[])
    check(product, work, engine, "auto_round", "W4A16", "--override", "model.layers.0.self_attn.*=W8A16",
          *keep("model.layers.1.self_attn.*"),
          kept=["layers.1.self_attn.qkv_proj", "layers.1.self_attn.o_proj", "lm_head"])


def test_compressed_tensors(product, work):
    for scheme in ["W4A16", "W4A16_ASYM", "W8A16", "W8A8", "FP8_DYNAMIC", "FP8_STATIC", "FP8_BLOCK", "FPW8A16",
                   "NVFP4A16", "NVFP4"]:
        check(product, work, engine, "llm_compressor", scheme)
    check(product, work, engine, "llm_compressor", "W4A16", "--override", "*.mlp.down_proj=FP8_DYNAMIC",
          "--override", "model.layers.0.self_attn.*=W8A16", "--override", "lm_head=W8A16",
          *keep("model.layers.1.self_attn.*"),
          kept=["layers.1.self_attn.qkv_proj", "layers.1.self_attn.o_proj"])


def test_fp8(product, work):
    # In a Llama it would take the scales of tiles for others, and leave them out without a word.
    check(product, work, engine, "fp8", "FP8_BLOCK", family="qwen3")
    check(product, work, engine, "fp8", "FP8_BLOCK", *keep("model.layers.0.self_attn.*", "*.1.mlp.down_proj"),
          kept=["layers.0.self_attn.qkv_proj", "layers.0.self_attn.o_proj", "layers.1.mlp.down_proj", "lm_head"],
          family="qwen3")


def test_refusals(product, work):
    for scheme in ["W3A16", "W4A16_ASYM"]:
        check_refused(product, work, engine, "auto_gptq", scheme, "Unknown quantization method: gptq")
    for scheme, words in [("W2A16G64", "kernel has been removed"), ("W2A16G64_ASYM", "Unsupported packing_format"),
                          ("MXFP4", "Unsupported data_type"), ("NVFP4", "Unsupported data_type"),
                          ("FP8_BLOCK", "Unsupported data_type")]:
        check_refused(product, work, engine, "auto_round", scheme, words)
    for scheme in ["W4A8", "MXFP4", "MXFP8"]:
        check_refused(product, work, engine, "llm_compressor", scheme, "No compressed-tensors compatible scheme")


if __name__ == "__main__":
    main([test_gptq, test_gptq_mixed, test_awq, test_auto_round, test_compressed_tensors, test_fp8, test_refusals],
         needs=["torch", "transformers", "sglang"])
