# SPDX-License-Identifier: GPL-3.0-or-later
"""The gguf package reads our values out of our files, and llama.cpp generates our tokens from them."""

import json
from pathlib import Path

from product import demo_model, main, tiny_model

TOKENS = 64
# llama.cpp multiplies block types with activations rounded to 8 bits, so it may take the other side
# of a near tie. With this prompt no choice of the 64 is that close; see also check_choices.
PROMPT = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,"
OTHER_PROMPT = "The history of the steam engine begins"
PLAIN = ("gguf:f16", "gguf:bf16")


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


def llama_answer(file, prompt, tokens):
    """Greedy continuation by llama.cpp: text, and per step the chosen id and the eight best ids
    with their log probabilities."""
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 512
    params.n_parallel = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    answer = server.handle_completions(
        {"prompt": prompt, "temperature": 0, "n_predict": tokens, "n_probs": 8})
    choice = answer["choices"][0]
    steps = [(step["id"], {top["id"]: top["logprob"] for top in step["top_logprobs"]})
             for step in choice["logprobs"]["content"]]
    return choice["text"], steps


def check_generation(product, file):
    """The same text, token by token."""
    theirs, steps = llama_answer(file, PROMPT, TOKENS)
    ours = product.generate(file, PROMPT, TOKENS)
    assert len(steps) == TOKENS, f"llama.cpp stopped after {len(steps)} tokens"
    assert ours == theirs, f"ours {ours!r}, llama.cpp {theirs!r}"
    print(f"  {file.name}: same {TOKENS} tokens: {theirs[:50]!r}")


def check_choices(product, file, prompt, work, tolerance):
    """Given llama.cpp's own words so far, each of its choices is ours, near ties apart, and the
    likely tokens have our log probabilities within `tolerance` nats."""
    import torch
    from safetensors.torch import load_file
    _, steps = llama_answer(file, prompt, TOKENS)
    trace = work / "prompt.safetensors"
    product.run("trace", file, "--text", prompt, "--output", trace)
    ids = load_file(trace)["input_ids"].flatten().tolist()
    chosen = [step[0] for step in steps]
    logits = product.logits(file, ids + chosen[:-1], work)[len(ids) - 1:]
    scores = torch.log_softmax(logits.double(), -1)
    differing, behind, apart = 0, 0.0, 0.0
    for ours, (token, top) in zip(scores, steps):
        gap = float(ours.max() - ours[token])
        differing += gap > 0
        behind = max(behind, gap)
        apart = max([apart] + [abs(float(ours[i]) - theirs) for i, theirs in top.items()
                               if theirs > -6])
    print(f"  {file.name}: {len(steps) - differing} of {len(steps)} choices equal, furthest "
          f"behind {behind:.3f} nats, log probabilities within {apart:.3f} nats")
    assert len(steps) > 4, "llama.cpp stopped at once"
    assert behind < tolerance, f"llama.cpp chose a token that is {behind} nats behind ours"
    assert apart < tolerance, f"log probabilities differ by {apart}"


def check_demo(product, work, scheme):
    model = demo_model()
    if model is None:
        print("  skipped: the demo model is not in the cache")
        return
    output, run = product.quantize(model, scheme, "gguf", work)
    if scheme not in PLAIN:
        count = check_values(file_in(output), run)
        print(f"  {scheme}: {count} layers equal bit for bit")
    check_metadata(model, file_in(output))
    check_generation(product, file_in(output))
    check_choices(product, file_in(output), OTHER_PROMPT, work, 0.15 if scheme in PLAIN else 1.0)


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


def test_demo_q5_0(product, work):
    check_demo(product, work, "gguf:q5_0")


def test_demo_q5_1(product, work):
    check_demo(product, work, "gguf:q5_1")


def check_tiny(product, work, family, **changes):
    model = tiny_model(work / "model", family, **changes)
    (work / "values").mkdir()
    output, run = product.quantize(model, "gguf:q4_0", "gguf", work / "values")
    check_values(file_in(output), run)
    plain, _ = product.quantize(model, "gguf:f16", "gguf", work)
    check_choices(product, file_in(plain), "the inn and the", work, 0.1)


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
          test_demo_q5_0, test_demo_q5_1,
          test_tiny_llama, test_tiny_qwen2, test_tiny_qwen3, test_tiny_gemma2, test_tiny_gemma3],
         needs=["gguf", "xllamacpp", "transformers"])
