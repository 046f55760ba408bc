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
from served import methods_of, shared_tests

ABSENT = ["IPython", "aiohttp", "cuda", "cutlass", "deep_gemm", "flashinfer", "openai", "openai_harmony",
          "partial_json_parser", "pynvml", "starlette", "torchvision", "triton", "tvm_ffi", "uvloop"]

OF_THIS_PLACE = ["not fully optimized yet", "serving this checkpoint weight-only", "Falling back to UnquantizedLinearMethod$"]
REFUSALS = ("Unknown quantization method: gptq|Unsupported (packing_format|data_type)|kernel has been removed"
            "|No compressed-tensors compatible scheme|Sparse24. is not supported")


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

    return model, load, methods_of(model, (LinearBase, ParallelLMHead), lambda layer: getattr(layer, "scheme", None))


if __name__ == "__main__":
    # In a Llama it would take the scales of tiles for others, and leave them out without a word: fp8 in qwen3.
    main(shared_tests(engine, "SGLang", REFUSALS, fp8_family="qwen3"), needs=["torch", "transformers", "sglang"],
         harmless=OF_THIS_PLACE, prepare=prepared)
