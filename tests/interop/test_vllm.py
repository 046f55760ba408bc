# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM takes our exports without running them: it accepts their configuration for an H100, builds its model with the
layers quantized that we quantized, chooses kernels, and finds in the export all that its model is made of."""

import os
import sys
import tempfile
from functools import cache

import standins
from product import main
from served import methods_of, shared_tests

ABSENT = ["PIL", "aiohttp", "fastapi", "llguidance", "mcp", "openai", "openai_harmony", "partial_json_parser",
          "prometheus_client", "uvloop", "vllm.vllm_flash_attn", "xgrammar"]

# It computes in one type: scales, and what is copied from the original, are rounded to it.
OF_THIS_PLACE = ["^torch[.]", "Triton", "is a weight-only .* kernel", "deep_gemm", "Attempted to load weight [^ ]+ with "
                 "dtype torch.(bfloat16|float16) into parameter with dtype torch.(bfloat16|float16)$"]


REFUSALS = ("Unsupported (quantization config|packing_format|data_type)|INC MXFP8 only supports|Failed to find a kernel"
            "|No module named 'humming'|No compressed-tensors compatible scheme")


@cache
def prepared():
    """vLLM as on a machine with an H100, whose memory is the CPU's."""
    scratch = tempfile.mkdtemp(prefix="bitsmith-vllm-")
    os.environ.update(VLLM_LOGGING_LEVEL="WARNING", VLLM_CACHE_ROOT=scratch, VLLM_NO_USAGE_STATS="1")
    sys.setdlopenflags(os.RTLD_LAZY)  # its kernels are linked against the driver
    standins.install(*ABSENT)
    import vllm.platforms
    from vllm.platforms.cuda import NonNvmlCudaPlatform
    from vllm.platforms.interface import DeviceCapability

    class Hopper(NonNvmlCudaPlatform):
        device_type, dist_backend = "cpu", "gloo"

        @classmethod
        def get_device_capability(cls, device_id=0):
            return DeviceCapability(9, 0)

        @classmethod
        def get_device_name(cls, device_id=0):
            return "NVIDIA H100"

        @classmethod
        def get_device_total_memory(cls, device_id=0):
            return 80 << 30

    vllm.platforms._current_platform = Hopper()
    from vllm import ModelRegistry
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import init_distributed_environment, initialize_model_parallel
    from vllm.model_executor.models.llama import LlamaForCausalLM
    ModelRegistry.register_model("LlamaForCausalLM", LlamaForCausalLM)  # not through a process of its own
    with set_current_vllm_config(VllmConfig()):
        init_distributed_environment(1, 0, f"file://{scratch}/rendezvous", 0, "gloo")
        initialize_model_parallel(1, 1, backend="gloo")


def engine(folder):
    prepared()
    import torch
    from vllm.config import DeviceConfig, LoadConfig, ModelConfig, VllmConfig, set_current_vllm_config
    from vllm.model_executor.layers.linear import LinearBase
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader
    from vllm.model_executor.model_loader.utils import initialize_model
    config = VllmConfig(model_config=ModelConfig(model=str(folder)), device_config=DeviceConfig(device="cpu"),
                        load_config=LoadConfig(use_tqdm_on_load=False))
    torch.set_default_dtype(config.model_config.dtype)
    model = initialize_model(config)

    def load():
        loader = DefaultModelLoader(config.load_config)
        loader.enable_weights_track = True
        with set_current_vllm_config(config):
            loader.load_weights(model, config.model_config)

    return model, load, methods_of(model, (LinearBase, ParallelLMHead), lambda layer: getattr(layer, "scheme", None),
                                   lambda layer: getattr(layer.quant_method, "kernel", None),
                                   lambda layer: getattr(getattr(layer, "scheme", None), "kernel", None))


if __name__ == "__main__":
    main(shared_tests(engine, "vLLM", REFUSALS, fp8_family="llama"), needs=["torch", "transformers", "vllm"],
         harmless=OF_THIS_PLACE, prepare=prepared)
