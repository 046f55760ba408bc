# SPDX-License-Identifier: GPL-3.0-or-later
"""The gguf package reads our values out of our files, and llama.cpp generates our tokens from them."""

from pathlib import Path

from product import OF_THE_TEST_MODEL, demo_model, every_scheme, main, native_warnings, tiny_model
from run_weights import run_weights

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


NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}


FUSED = {"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
EXPERTS = {"gate_proj": "ffn_gate_exps", "w1": "ffn_gate_exps", "up_proj": "ffn_up_exps", "w3": "ffn_up_exps",
           "down_proj": "ffn_down_exps", "w2": "ffn_down_exps"}


def gguf_place(layer):
    """Name of the tensor, and the expert in it or None."""
    _, _, index, rest = layer.split(".", 3)
    if ".experts." in rest:
        _, _, expert, kind = rest.split(".")
        return f"blk.{index}.{EXPERTS[kind]}.weight", int(expert)
    return f"blk.{index}.{(NAMES | FUSED)[rest]}.weight", None


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
    values = {layer: weight.numpy() for layer, weight in run_weights(run).items()}
    assert values, "the run has no quantized layers"
    for layer, expected in values.items():
        if arch == "llama" and layer.endswith(("q_proj", "k_proj")):
            expected = permuted(expected, heads if layer.endswith("q_proj") else kv_heads)
        name, expert = gguf_place(layer)
        tensor = tensors[name]
        data = tensor.data if expert is None else tensor.data[expert]
        found = dequantize(data, tensor.tensor_type)
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
    with native_warnings("llama.cpp", r"^\S+ [WE] "):
        server = xllamacpp.Server(params)
        answer = server.handle_completions(
            {"prompt": prompt, "temperature": 0, "n_predict": tokens, "n_probs": 8})
    choice = answer["choices"][0]
    steps = [(step["id"], {top["id"]: top["logprob"] for top in step["top_logprobs"]})
             for step in choice["logprobs"]["content"]]
    return choice["text"], steps


def check_generation(product, file, work, tie):
    """The same text, token by token, or llama.cpp went another way where two tokens are within `tie` nats: it rounds
    activations to 8 bits."""
    theirs, steps = llama_answer(file, PROMPT, TOKENS)
    ours = product.generate(file, PROMPT, TOKENS)
    assert len(steps) == TOKENS, f"llama.cpp stopped after {len(steps)} tokens"
    if ours != theirs:
        print(f"  ours {ours!r}, llama.cpp {theirs!r}")
        check_choices(product, file, PROMPT, work, tie)
        return
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
    tolerance = 0.15 if scheme in PLAIN else 1.0
    check_generation(product, file_in(output), work, tolerance)
    check_choices(product, file_in(output), OTHER_PROMPT, work, tolerance)


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


def check_tiny(product, work, family, tolerance=1.0, **changes):
    """Our choices by llama.cpp from a plain file, and from a quantized one, which holds our values: there llama.cpp
    rounds activations to 8 bits, and `tolerance` is in nats."""
    model = tiny_model(work / "model", family, **changes)
    plain, _ = product.quantize(model, "gguf:f16", "gguf", work)
    check_choices(product, file_in(plain), "the inn and the", work, 0.1)
    (work / "values").mkdir()
    output, run = product.quantize(model, "gguf:q4_0", "gguf", work / "values")
    check_values(file_in(output), run)
    check_choices(product, file_in(output), "the inn and the", work, tolerance)


def test_tiny_llama(product, work):
    check_tiny(product, work, "llama")


def test_tiny_llama_biases(product, work):
    check_tiny(product, work, "llama", attention_bias=True, mlp_bias=True,
               rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0})


def test_tiny_llama_rotary_by_tensor(product, work):
    """A known setting, which our reader recognises in the file."""
    check_tiny(product, work, "llama", rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192})


def test_tiny_llama_yarn(product, work):
    check_tiny(product, work, "llama", rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32,
        "beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 0.7})


def test_tiny_llama_dynamic(product, work):
    check_tiny(product, work, "llama",
               rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0})


def test_tiny_mistral(product, work):
    check_tiny(product, work, "mistral", sliding_window=None)


def test_tiny_mixtral(product, work):
    check_tiny(product, work, "mixtral", num_local_experts=4, num_experts_per_tok=2)


def test_tiny_qwen3_moe(product, work):
    check_tiny(product, work, "qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64,
               norm_topk_prob=True)


def test_tiny_gemma(product, work):
    check_tiny(product, work, "gemma", tie_word_embeddings=True)


def test_tiny_phi3(product, work):
    check_tiny(product, work, "phi3", pad_token_id=0, sliding_window=None)


def test_tiny_phi3_longrope(product, work):
    """llama.cpp chooses the list of factors by the size of its context, 512, and so do we by the length of the text:
    both take the long one."""
    check_tiny(product, work, "phi3", pad_token_id=0, sliding_window=None, original_max_position_embeddings=8,
               rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0,
                                "short_factor": [1 + i / 16 for i in range(16)],
                                "long_factor": [1 + i / 4 for i in range(16)]})


def test_tiny_gpt_oss(product, work):
    """Rounded activations can choose another expert, and a random model then says something else: hence 3 nats."""
    check_tiny(product, work, "gpt_oss", 3.0, num_local_experts=4, num_experts_per_tok=2, sliding_window=16)


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


# The numbers of formats.md 6.3; a file of one K type bears that of the nearest mix.
FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9,
              "q2_k": 10, "q3_k": 11, "q4_k": 14, "q5_k": 16, "q6_k": 18,
              "q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15,
              "q5_k_s": 16, "q5_k_m": 17, "q2_k_s": 21}
FALLBACKS = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}


def more(i, n):
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def base_type(mix):
    return mix[:4].upper()


def expected_type(mix, kind, i, n, gqa):
    """Of the i-th of n layers of a kind, by the table of formats.md 6.8."""
    raised = {
        "q2_k_s": {"attn_v": gqa >= 4 and "Q4_K", "ffn_down": i < n // 8 and "Q4_K"},
        "q3_k_m": {"attn_v": "Q5_K" if i < 2 else "Q4_K", "attn_output": "Q4_K",
                   "ffn_down": "Q5_K" if i < n // 16 else "Q4_K"},
        "q3_k_l": {"attn_v": "Q5_K", "attn_output": "Q5_K", "ffn_down": "Q5_K"},
        "q4_k_s": {"attn_v": i < 4 and "Q5_K", "ffn_down": i < n // 8 and "Q5_K"},
        "q4_k_m": {"attn_v": more(i, n) and "Q6_K", "ffn_down": more(i, n) and "Q6_K"},
        "q5_k_m": {"attn_v": more(i, n) and "Q6_K", "ffn_down": more(i, n) and "Q6_K"},
    }
    return raised.get(mix, {}).get(kind) or base_type(mix)


def check_type(tensor, expected):
    if tensor.shape[0] % 256 != 0:
        expected = FALLBACKS.get(expected, expected)
    found = tensor.tensor_type.name
    assert found == expected, f"{tensor.name} is {found}, not {expected}"
    return found


def check_types(file, mix):
    """Number of the file and type of every matrix; returns how many layers have which type."""
    from collections import Counter
    from gguf import GGUFReader
    reader = GGUFReader(file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.file_type"] == FILE_TYPES[mix], fields["general.file_type"]
    assert fields["general.quantization_version"] == 2
    blocks = fields["llama.block_count"]
    gqa = fields["llama.attention.head_count"] // fields["llama.attention.head_count_kv"]
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    found = Counter(check_type(tensors[f"blk.{i}.{kind}.weight"],
                               expected_type(mix, kind, i, blocks, gqa))
                    for i in range(blocks) for kind in NAMES.values())
    head = "Q8_0" if mix == "q8_0" else "Q6_K"
    tied = "output.weight" not in tensors
    check_type(tensors["token_embd.weight"], head if tied else base_type(mix))
    if not tied:
        check_type(tensors["output.weight"], head)
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items()))


# What rounding may cost: root of the mean square of the error, in units of that of the weights.
TABLE_ERRORS = {"Q2_K": 0.45, "Q3_K": 0.2, "Q4_0": 0.13, "Q4_1": 0.13, "Q4_K": 0.13, "Q5_0": 0.07,
                "Q5_1": 0.07, "Q5_K": 0.07, "Q6_K": 0.035, "Q8_0": 0.01}


def check_tables(file, model):
    """The embedding and the head, which no run tunes, are the model's own up to rounding."""
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors import safe_open
    tensors = {tensor.name: tensor for tensor in GGUFReader(file).tensors}
    with safe_open(model / "model.safetensors", framework="pt") as source:
        for name, origin in (("token_embd.weight", "model.embed_tokens.weight"),
                             ("output.weight", "lm_head.weight")):
            tensor = tensors[name]
            values = source.get_tensor(origin).float().numpy()
            found = dequantize(tensor.data, tensor.tensor_type)
            assert found.shape == values.shape, f"{name} is {found.shape}, not {values.shape}"
            error = float(np.sqrt(np.square(found - values).mean() / np.square(values).mean()))
            limit = TABLE_ERRORS[tensor.tensor_type.name]
            assert error < limit, f"{name} is {error} away, more than {limit}"


def check_k_demo(product, work, mix):
    """Only rows of ffn_down hold whole super-blocks in this model."""
    model = demo_model()
    if model is None:
        print("  skipped: the demo model is not in the cache")
        return
    output, run = product.quantize(model, "gguf:" + mix, "gguf", work, status=5)
    file = file_in(output)
    types = check_types(file, mix)
    print(f"  {mix}: {check_values(file, run)} layers equal bit for bit: {types}")
    check_generation(product, file, work, 1.0)


def test_demo_q4_k_m(product, work):
    check_k_demo(product, work, "q4_k_m")


def test_demo_q3_k_l(product, work):
    check_k_demo(product, work, "q3_k_l")


def check_reading(product, file, work):
    """Our reader computes what transformers computes from the values of the gguf package."""
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32)
    ids = list(range(40, 72))
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0]
    ours = product.logits(file, ids, work).reshape(theirs.shape).float()
    apart, spread = float((ours - theirs).abs().max()), float(theirs.std())
    assert apart < 1e-3 * spread, f"logits differ by {apart}, they spread by {spread}"
    return apart / spread


def wide_model(work, **changes):
    """All layers of these sizes hold whole super-blocks."""
    sizes = dict(hidden_size=256, intermediate_size=512, num_hidden_layers=4, head_dim=64)
    return tiny_model(work / "model", **{**sizes, **changes})


def check_wide(product, work, mixes, reads=False, **changes):
    model = wide_model(work, **changes)
    for mix in mixes:
        folder = work / mix
        folder.mkdir()
        output, run = product.quantize(model, "gguf:" + mix, "gguf", folder)
        file = file_in(output)
        types = check_types(file, mix)
        check_tables(file, model)
        print(f"  {mix}: {check_values(file, run)} layers equal bit for bit: {types}")
        if reads:
            apart = check_reading(product, file, folder)
            print(f"  {mix}: logits within {apart:.1e} of their spread")
        check_choices(product, file, "the inn and the", folder, 1.5)


def test_tiny_types(product, work):
    check_wide(product, work, ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])


def test_tiny_k_types(product, work):
    check_wide(product, work, ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k"], reads=True)


def test_tiny_k_mixes(product, work):
    """Four query heads per key/value head, and enough layers for each rule to tell them apart."""
    check_wide(product, work, ["q2_k_s", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s",
                               "q5_k_m"],
               num_hidden_layers=8, num_attention_heads=8, head_dim=32)


def check_scheme(product, work, scheme):
    model = wide_model(work)
    output, run = product.quantize(model, scheme, "gguf", work)
    print(f"  {scheme}: {check_values(file_in(output), run)} layers equal bit for bit")
    check_choices(product, file_in(output), "the inn and the", work, 1.5)


def test_tiny_split(product, work):
    """Several files are one model, for us, for the gguf package and for llama.cpp."""
    from gguf import GGUFReader
    model = wide_model(work)
    output, _ = product.quantize(model, "gguf:q8_0", "gguf", work, "--max-gguf-gb", 0.001)
    files = sorted(output.glob("*.gguf"))
    assert len(files) > 1, "the file was not split"
    names = []
    for number, file in enumerate(files):
        assert file.name.endswith(f"-{number + 1:05}-of-{len(files):05}.gguf"), file.name
        reader = GGUFReader(file)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        assert fields["split.no"] == number and fields["split.count"] == len(files), fields
        assert ("general.architecture" in fields) == (number == 0)
        names += [tensor.name for tensor in reader.tensors]
        total = fields["split.tensors.count"]
    assert len(set(names)) == len(names) == total, f"{len(names)} tensors, {total} stated"
    print(f"  {total} tensors in {len(files)} files")
    check_choices(product, files[0], "the inn and the", work, 1.5)


def check_sums(tensors, columns):
    """Both tensors of a weight: Sum x^2 by column, and over how many inputs it is."""
    import numpy as np
    for name, width in columns.items():
        sums, counts = tensors[name + ".in_sum2"], tensors[name + ".counts"]
        assert list(sums.shape) == [width, 1] and list(counts.shape) == [1, 1], name
        assert sums.tensor_type.name == counts.tensor_type.name == "F32", name
        assert np.isfinite(sums.data).all() and (sums.data >= 0).all() and sums.data.any(), name
        assert counts.data.flat[0] > 0, name


def test_tiny_imatrix(product, work):
    """What we write, the gguf package reads; what it writes decides how we round."""
    import numpy as np
    from gguf import GGUFReader, GGUFWriter
    from safetensors import safe_open
    model = wide_model(work)
    text, file = work / "text.txt", work / "ours.gguf"
    text.write_text("the inn and the thin man in the den ate than then and there. " * 200)
    calibrated = ("--recipe", "opt_rtn", "--dataset", text, "--nsamples", 8, "--seqlen", 64)
    product.run("quantize", model, "--scheme", "gguf:q4_0", "--format", "gguf", *calibrated,
                "--output", work / "first", "--run-dir", work / "run")
    product.run("imatrix", model, "--dataset", text, "--nsamples", 8, "--seqlen", 64, "--output", file)
    reader = GGUFReader(file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.type"] == "imatrix" and fields["imatrix.chunk_count"] > 0, fields
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    widths = {f"blk.{i}.{kind}.weight": 512 if kind == "ffn_down" else 256
              for i in range(4) for kind in NAMES.values()}
    check_sums(tensors, widths)
    assert len(tensors) == 2 * len(widths), "entries of other weights"

    theirs = work / "theirs.gguf"
    writer = GGUFWriter(theirs, "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["text.txt"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 64)
    for name, width in widths.items():  # every other column counts
        sums = np.where(np.arange(width) % 2 == 0, 64.0, 0.064).astype(np.float32).reshape(1, width)
        writer.add_tensor(name + ".in_sum2", sums)
        writer.add_tensor(name + ".counts", np.full((1, 1), 64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    product.run("quantize", model, "--scheme", "gguf:q4_0", "--format", "gguf", *calibrated,
                "--output", work / "second", "--run-dir", work / "run2", "--imatrix", theirs)
    product.run("verify", work / "second")
    with safe_open(model / "model.safetensors", framework="pt") as source:
        weights = {layer: source.get_tensor(layer + ".weight").float().numpy()
                   for layer in run_weights(work / "run")}
    first, second = (sum(float(np.square(values.numpy() - weights[layer])[:, ::2].sum())
                         for layer, values in run_weights(work / run).items())
                     for run in ("run", "run2"))
    assert second < 0.99 * first, f"{second} on the columns that count, not below {first}"


if __name__ == "__main__":
    main([test_demo_f16, test_demo_bf16, test_demo_q8_0, test_demo_q4_0,
          test_tiny_llama, test_tiny_llama_biases, test_tiny_llama_rotary_by_tensor, test_tiny_llama_yarn,
          test_tiny_llama_dynamic, test_tiny_mistral, test_tiny_mixtral, test_tiny_qwen2, test_tiny_qwen3,
          test_tiny_qwen3_moe, test_tiny_gemma, test_tiny_gemma2, test_tiny_gemma3, test_tiny_phi3,
          test_tiny_phi3_longrope, test_tiny_gpt_oss,
          test_demo_q4_k_m, test_demo_q3_k_l, test_tiny_types, test_tiny_k_types, test_tiny_k_mixes,
          every_scheme("gguf", check_scheme, *(f"gguf:{name}" for name in FILE_TYPES)),
          test_tiny_split, test_tiny_imatrix],
         needs=["gguf", "xllamacpp", "transformers"], harmless=OF_THE_TEST_MODEL)
