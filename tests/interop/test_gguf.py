# SPDX-License-Identifier: GPL-3.0-or-later
"""The gguf package reads our values out of our files, and llama.cpp generates our tokens from them."""

import json
from pathlib import Path

from product import demo_model, main, tiny_model

PROMPT = "The history of the steam engine begins"
TOKENS = 64


def file_in(folder):
    files = list(Path(folder).glob("*.gguf"))
    assert len(files) == 1, files
    return files[0]


def stored_values(run):
    """Layer -> values of the run's own codes, by the definition, in float32."""
    import numpy as np
    from safetensors import safe_open
    values = {}
    for file in sorted((run / "blocks").glob("*.safetensors")):
        with safe_open(file, framework="np") as block:
            schemes = {layer["name"]: layer["scheme"]
                       for layer in json.loads(block.metadata()["block"])["layers"]}
            for layer, scheme in schemes.items():
                codes = block.get_tensor(layer + ".codes").astype(np.float32)
                rows, columns = codes.shape
                scales = block.get_tensor(layer + ".scales").astype(np.float32).reshape(rows, -1)
                zeros = block.get_tensor(layer + ".zeros")
                has_minimum = zeros.dtype != np.uint8
                zeros = zeros.astype(np.float32).reshape(rows, -1)
                width = -(-columns // scales.shape[1])
                scales, zeros = (np.repeat(t, width, 1)[:, :columns] for t in (scales, zeros))
                values[layer] = codes * scales + zeros if has_minimum else scales * (codes - zeros)
    return values


NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}


def gguf_name(layer):
    _, _, index, rest = layer.split(".", 3)
    return f"blk.{index}.{NAMES[rest]}.weight"


def permuted(values, heads):
    """Halves-split rotary rows to interleaved pairs."""
    rows, columns = values.shape
    return (values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2)
            .reshape(rows, columns))


def check_values(file, run):
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize
    reader = GGUFReader(file)
    arch = reader.fields["general.architecture"].contents()
    heads = reader.fields[f"{arch}.attention.head_count"].contents()
    kv_heads = reader.fields[f"{arch}.attention.head_count_kv"].contents()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    values = stored_values(run)
    assert values, "the run has no quantized layers"
    for layer, expected in values.items():
        if arch == "llama" and layer.endswith(("q_proj", "k_proj")):
            expected = permuted(expected, heads if layer.endswith("q_proj") else kv_heads)
        tensor = tensors[gguf_name(layer)]
        found = dequantize(tensor.data, tensor.tensor_type)
        assert found.dtype == np.float32 and found.shape == expected.shape, tensor.name
        assert np.array_equal(found, expected), f"{tensor.name} is not bit for bit ours"
    return len(values)


def llama_tokens(file, prompt, tokens):
    """Greedy continuation by llama.cpp: text, and the gap of log probability to the second choice
    at every step."""
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 512
    params.n_parallel = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    answer = server.handle_completions(
        {"prompt": prompt, "temperature": 0, "n_predict": tokens, "n_probs": 2})
    choice = answer["choices"][0]
    steps = choice["logprobs"]["content"]
    gaps = [step["top_logprobs"][0]["logprob"] - step["top_logprobs"][1]["logprob"]
            for step in steps]
    return choice["text"], [step["token"] for step in steps], gaps


def check_generation(product, file, prompt=PROMPT):
    theirs, tokens, gaps = llama_tokens(file, prompt, TOKENS)
    ours = product.generate(file, prompt, TOKENS)
    print(f"  {file.name}: {len(tokens)} tokens, smallest gap {min(gaps):.3f}: {theirs[:60]!r}")
    assert len(tokens) == TOKENS, f"llama.cpp stopped after {len(tokens)} tokens"
    assert ours == theirs, f"ours {ours!r}, llama.cpp {theirs!r}"


def check_demo(product, work, scheme):
    model = demo_model()
    if model is None:
        print("  skipped: the demo model is not in the cache")
        return
    output, run = product.quantize(model, scheme, "gguf", work)
    if scheme not in ("gguf:f16", "gguf:bf16"):
        count = check_values(file_in(output), run)
        print(f"  {scheme}: {count} layers equal bit for bit")
    check_metadata(model, file_in(output))
    check_generation(product, file_in(output))


def check_metadata(source, written):
    """What the model is stays the same through our reader and writer."""
    from gguf import GGUFReader
    before, after = GGUFReader(source).fields, GGUFReader(written).fields
    changed = ("general.", "GGUF.", "llama.attention.key_length", "llama.attention.value_length")
    for name, field in before.items():
        if name.startswith(changed) or name == "tokenizer.ggml.add_space_prefix":
            continue
        assert name in after, f"{name} is missing"
        assert field.contents() == after[name].contents(), f"{name} differs"


def test_demo_f16(product, work):
    check_demo(product, work, "gguf:f16")


def test_demo_bf16(product, work):
    check_demo(product, work, "gguf:bf16")


def test_demo_q8_0(product, work):
    check_demo(product, work, "gguf:q8_0")


def test_demo_q4_0(product, work):
    check_demo(product, work, "gguf:q4_0")


def test_demo_q4_1(product, work):
    check_demo(product, work, "gguf:q4_1")


def check_tiny(product, work, family, scheme="gguf:q8_0", **changes):
    model = tiny_model(work / "model", family, **changes)
    output, run = product.quantize(model, scheme, "gguf", work)
    check_values(file_in(output), run)
    check_generation(product, file_in(output), "the inn and the")


def test_tiny_llama(product, work):
    check_tiny(product, work, "llama")


def test_tiny_qwen2(product, work):
    check_tiny(product, work, "qwen2")


def test_tiny_qwen3(product, work):
    check_tiny(product, work, "qwen3")


def test_tiny_gemma2(product, work):
    check_tiny(product, work, "gemma2", query_pre_attn_scalar=32, sliding_window=16,
               tie_word_embeddings=True)


def test_tiny_gemma3(product, work):
    check_tiny(product, work, "gemma3_text", query_pre_attn_scalar=32, sliding_window=16,
               tie_word_embeddings=True)


if __name__ == "__main__":
    main([test_demo_f16, test_demo_bf16, test_demo_q8_0, test_demo_q4_0, test_demo_q4_1,
          test_tiny_llama, test_tiny_qwen2, test_tiny_qwen3, test_tiny_gemma2, test_tiny_gemma3],
         needs=["gguf", "xllamacpp", "transformers"])
