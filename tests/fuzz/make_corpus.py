#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the seeds of the fuzz targets: make_corpus.py FOLDER -> FOLDER/<target>/<name>.

Small valid files of every kind, and inputs that were findings once (regression_...). Needs nothing
but the standard library; layouts: formats.md.
"""
import json
import struct
import sys
from pathlib import Path

DTYPES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U32": 4, "I8": 1, "U8": 1,
          "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1}
ONES = {"F32": struct.pack("<f", 1), "F16": b"\x00\x3c", "BF16": b"\x80\x3f"}


def size_of(shape):
    size = 1
    for extent in shape:
        size *= extent
    return size


def safetensors(tensors):
    """{name: (dtype, shape) or (dtype, shape, bytes)}: ones where the type has them, bytes 0, 1, 2 ... otherwise."""
    header, data = {}, b""
    for name, (dtype, shape, *given) in tensors.items():
        count = size_of(shape)
        content = ONES[dtype] * count if dtype in ONES else bytes(
            i % 120 for i in range(count * DTYPES[dtype]))
        content = given[0] if given else content
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# ---- GGUF (formats.md 6.1): value types by number ----

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
         "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84),
         "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176),
         "Q6_K": (14, 256, 210), "BF16": (30, 1, 2)}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(item):
    if isinstance(item, bool):
        return struct.pack("<I?", BOOL, item)
    if isinstance(item, int):
        return struct.pack("<II", U32, item)
    if isinstance(item, float):
        return struct.pack("<If", F32, item)
    if isinstance(item, str):
        return struct.pack("<I", STRING) + text(item)
    element = STRING if isinstance(item[0], str) else F32 if isinstance(item[0], float) else I32
    body = b"".join(text(i) if element == STRING else struct.pack("<f" if element == F32 else "<i", i)
                    for i in item)
    return struct.pack("<IIQ", ARRAY, element, len(item)) + body


def gguf(metadata, tensors=()):
    """tensors: (name, type, ne), ne as stored: the length of a row first."""
    kv = b"".join(text(key) + value(item) for key, item in metadata.items())
    infos, data = b"", b""
    for name, kind, ne in tensors:
        number, block, block_bytes = TYPES[kind]
        infos += text(name) + struct.pack("<I", len(ne)) + struct.pack(f"<{len(ne)}Q", *ne)
        infos += struct.pack("<IQ", number, len(data))
        count = size_of(ne) // block
        data += struct.pack("<f", 0.5) * count if kind == "F32" else bytes(count * block_bytes)
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + kv + infos
    return head + bytes(-len(head) % 32) + data


def vocabulary(kind):
    tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "[PAD6]"]
    fields = {"model": kind, "tokens": tokens, "token_type": [2, 3, 3, 1, 1, 1, 5],
              "bos_token_id": 1, "eos_token_id": 2, "add_bos_token": True}
    fields |= {"pre": "llama-bpe", "merges": ["a b"]} if kind == "gpt2" else {
        "scores": [0.0, 0.0, 0.0, -1.0, -2.0, -3.0, 0.0], "unknown_token_id": 0}
    named = {"tokenizer.ggml." + key: item for key, item in fields.items()}
    return named | {"tokenizer.chat_template": "{{ messages }}"}


def gguf_model(arch, extra=(), experts=0, head_norms=False, sandwich=False, fused=False, kind="F32"):
    hidden, inner = 32, 32
    sizes = {"embedding_length": hidden, "block_count": 1, "context_length": 64,
             "feed_forward_length": inner, "attention.head_count": 2,
             "attention.head_count_kv": 1, "attention.layer_norm_rms_epsilon": 1e-5}
    if experts:
        sizes |= {"expert_count": experts, "expert_used_count": 1,
                  "expert_feed_forward_length": inner}
    sizes |= dict(extra)
    matrices = {"attn_qkv": 64, "attn_output": 32, "ffn_up": 64, "ffn_down": 32} if fused else {
        "attn_q": 32, "attn_k": 16, "attn_v": 16, "attn_output": 32}
    if not fused and not experts:
        matrices |= {"ffn_gate": inner, "ffn_up": inner, "ffn_down": hidden}
    norms = {"attn_norm": hidden, "ffn_norm": hidden}
    norms |= {"attn_q_norm": 16, "attn_k_norm": 16} if head_norms else {}
    norms |= {"post_attention_norm": hidden, "post_ffw_norm": hidden} if sandwich else {}
    tensors = [("token_embd.weight", kind, [hidden, 7]), ("output_norm.weight", "F32", [hidden])]
    tensors += [(f"blk.0.{name}.weight", kind, [hidden, rows]) for name, rows in matrices.items()]
    tensors += [(f"blk.0.{name}.weight", "F32", [size]) for name, size in norms.items()]
    if experts:
        tensors += [("blk.0.ffn_gate_inp.weight", "F32", [hidden, experts])]
        tensors += [(f"blk.0.ffn_{name}_exps.weight", kind, [hidden, hidden, experts])
                    for name in ("gate", "up", "down")]
    named = {f"{arch}.{key}": item for key, item in sizes.items()}
    return gguf({"general.architecture": arch} | named | vocabulary("gpt2"), tensors)


def gguf_seeds():
    yield "llama", gguf_model("llama")
    yield "llama_yarn", gguf_model("llama", {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0,
                                             "rope.scaling.original_context_length": 32}.items())
    yield "mixtral", gguf_model("llama", experts=2)
    yield "qwen2", gguf_model("qwen2")
    yield "qwen3", gguf_model("qwen3", head_norms=True)
    yield "qwen3moe", gguf_model("qwen3moe", experts=2, head_norms=True)
    yield "gemma2", gguf_model("gemma2", sandwich=True)
    yield "gemma3", gguf_model("gemma3", head_norms=True, sandwich=True)
    yield "phi3", gguf_model("phi3", fused=True)
    for kind, (_, block, _) in TYPES.items():
        row = max(block, 32)
        yield "type_" + kind, gguf(
            {"general.architecture": "llama", "llama.embedding_length": row},
            [("token_embd.weight", kind, [row, 2])])
    yield "kinds", gguf({"general.alignment": 32, "flag": False, "list": [1, -2], "empty": "",
                         "numbers": [0.5, 1.5], "texts": ["", "a"]})


# ---- quantized checkpoints (formats.md 2 to 5) ----

def checkpoint(description, tensors, field="quantization_config"):
    config = json.dumps({field: description}).encode()
    return struct.pack("<I", len(config)) + config + safetensors(tensors)


def gptq_layer(name="p", order=False):
    """4 bits, 32 columns in two groups, 32 rows."""
    tensors = {f"{name}.qweight": ("I32", [4, 32]), f"{name}.qzeros": ("I32", [2, 4]),
               f"{name}.scales": ("F16", [2, 32])}
    if order:
        groups = struct.pack("<32i", *[i % 2 for i in range(32)])
        tensors[f"{name}.g_idx"] = ("I32", [32], groups)
    return tensors


def checkpoint_seeds():
    awq = {"p.qweight": ("I32", [32, 4]), "p.qzeros": ("I32", [2, 4]), "p.scales": ("F16", [2, 32])}
    fp8 = {"p.weight": ("F8_E4M3", [32, 32]), "p.weight_scale_inv": ("F32", [2, 2])}
    mxfp4 = {"p.weight_packed": ("U8", [4, 16]), "p.weight_scale": ("U8", [4, 1])}
    nvfp4 = {"p.weight_packed": ("U8", [4, 16]), "p.weight_scale": ("F8_E4M3", [4, 2]),
             "p.weight_global_scale": ("F32", [1])}
    e5m3 = {"p.weight_packed": ("U8", [4, 16]), "p.weight_scale": ("U8", [4, 2])}
    mlx = {"p.weight": ("U32", [2, 4]), "p.scales": ("F16", [2, 1]), "p.biases": ("F16", [2, 1])}
    packed = {"p.weight_packed": ("I32", [8, 4]), "p.weight_scale": ("F16", [8, 2]),
              "p.weight_shape": ("I64", [2], struct.pack("<2q", 8, 32)),
              "p.weight_zero_point": ("I32", [1, 2])}
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 16}
    yield "gptq", checkpoint(gptq, gptq_layer())
    yield "gptq_order", checkpoint(gptq | {"dynamic": {"+:p.*": {"bits": 4}, "-:lm_head": {}}},
                                   gptq_layer(order=True))
    yield "gptq_v2", checkpoint(gptq | {"checkpoint_format": "gptq_v2"}, gptq_layer())
    yield "awq", checkpoint({"quant_method": "awq", "bits": 4, "group_size": 16}, awq)
    yield "fp8", checkpoint({"quant_method": "fp8", "weight_block_size": [16, 16]}, fp8)
    yield "mlx", checkpoint({"bits": 4, "group_size": 32, "q": False}, mlx, "quantization")
    yield "mlx_experts", checkpoint(
        {"bits": 4, "group_size": 32, "mode": "affine",
         "p.mlp.switch_mlp.up_proj": {"bits": 8, "group_size": 32, "mode": "mxfp8"}},
        {"p.mlp.switch_mlp.up_proj.weight": ("U32", [2, 4, 8]),
         "p.mlp.switch_mlp.up_proj.scales": ("U8", [2, 4, 1]),
         "p.mlp.switch_mlp.up_proj.bias": ("F16", [2, 4])}, "quantization")
    yield "mxfp4", checkpoint({"quant_method": "mxfp4"}, {
        "p_blocks": ("U8", [2, 4, 1, 16]), "p_scales": ("U8", [2, 4, 1])})
    auto = {"quant_method": "auto-round", "bits": 4, "group_size": 16}
    for word, tensors in {"": gptq_layer(), "auto_round": gptq_layer(), "auto_round:awq": awq,
                          "auto_round:auto_gptq": gptq_layer(), "auto_round:fp8": fp8,
                          "auto_round:llm_compressor": mxfp4, "mlx": mlx,
                          "auto_round:llm_compressor_nvfp4_e5m3": e5m3}.items():
        own = {"packing_format": word} if word else {}
        group = {"group_size": 32} if word == "mlx" else {}
        yield "auto_round_" + word.replace(":", "_"), checkpoint(
            auto | own | group | {"extra_config": {"p": {"bits": 4}, ".*q.*": {"bits": 8}}}, tensors)
    compressed = {"quant_method": "compressed-tensors", "config_groups": {
        "group_0": {"weights": {"num_bits": 4, "type": "int"}, "targets": ["Linear"]}}}
    yield "compressed_packed", checkpoint(compressed | {"format": "pack-quantized"}, packed)
    yield "compressed_int", checkpoint(compressed | {"format": "int-quantized"}, {
        "p.weight": ("I8", [4, 8]), "p.weight_scale": ("F32", [4, 1]),
        "p.weight_zero_point": ("I8", [4, 1])})
    yield "compressed_float", checkpoint(compressed | {"format": "float-quantized"}, {
        "p.weight": ("F8_E4M3", [4, 8]), "p.weight_scale": ("F32", [1]),
        "p.input_scale": ("F32", [1])})
    yield "compressed_mxfp4", checkpoint(compressed | {"format": "mxfp4-pack-quantized"}, mxfp4)
    yield "compressed_nvfp4", checkpoint(compressed | {"format": "nvfp4-pack-quantized"}, nvfp4)


# ---- the others ----

def config_seeds():
    base = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128, "head_dim": 16,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
    slide = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
    gemma = {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 16}
    own = {"llama": {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                      "high_freq_factor": 4.0,
                                      "original_max_position_embeddings": 64}},
           "mistral": {"sliding_window": None},
           "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
           "qwen2": {"use_sliding_window": False}, "qwen3": {"rope_scaling": {
               "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
           "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
                         "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
           "gemma": {}, "gemma2": gemma | slide | {"attn_logit_softcapping": 50.0},
           "gemma3_text": gemma | slide | {"rope_local_base_freq": 10000.0},
           "phi3": {"partial_rotary_factor": 1.0, "original_max_position_embeddings": 64},
           "gpt_oss": slide | {"num_local_experts": 4, "num_experts_per_tok": 2}}
    for model_type, fields in own.items():
        yield model_type, json.dumps({"model_type": model_type} | base | fields).encode()
    yield "nested", json.dumps({"model_type": "gemma3", "text_config": {
        "model_type": "gemma3_text"} | base | own["gemma3_text"]}).encode()


def imatrix_seeds():
    def name(word):
        return struct.pack("<i", len(word)) + word
    yield "old", struct.pack("<i", 1) + name(b"blk.0.attn_q.weight") + struct.pack(
        "<ii2fi", 4, 2, 8, 2, 7) + name(b"text.txt")
    yield "gguf", gguf({"general.type": "imatrix", "imatrix.datasets": ["a.txt"],
                        "imatrix.chunk_count": 5, "imatrix.chunk_size": 512},
                       [("blk.0.attn_q.weight.in_sum2", "F32", [4, 1]),
                        ("blk.0.attn_q.weight.counts", "F32", [1, 1])])


def safetensors_seeds():
    yield "small", safetensors({"a": ("F32", [2, 2]), "b": ("U8", [3]), "s": ("BF16", []),
                                "z": ("F32", [0, 4])})
    yield "types", safetensors({dtype: (dtype, [2]) for dtype in DTYPES})
    yield "empty", safetensors({})
    # Nothing is stored, yet the strides of the tensor overflow.
    yield "regression_empty_but_vast", safetensors({"t": ("F32", [0, 1 << 40, 1 << 40])})


def pattern_seeds():
    yield "layer", rb".*layers\.(0|1)\..*_proj" + b"\nmodel.layers.0.mlp.up_proj"
    yield "lookahead", b"^(?!.*lm_head).*\nmodel.norm"
    yield "set", b"[a-z]{1,3}+?\\d|$\nabc"
    # Recursion as deep as name times groups ended the process.
    yield "regression_deep", b"(" * 250 + b"." + b")" * 250 + b"*b\n" + b"a" * 512
    # Backtracking and large repetitions took time without bound.
    yield "regression_backtracking", b"(a+a+)+b\n" + b"a" * 512
    yield "regression_repetition", b"a?{9000}b\n" + b"a" * 512


SEEDS = {"checkpoint": checkpoint_seeds, "config": config_seeds, "gguf": gguf_seeds,
         "gguf_text": lambda: ((kind, gguf({"general.architecture": "llama"} | vocabulary(kind)))
                               for kind in ("gpt2", "llama")),
         "imatrix": imatrix_seeds, "name_pattern": pattern_seeds, "safetensors": safetensors_seeds}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for target, seeds in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in seeds():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
