#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time of the importance-weighted search of GGUF types, per weight, against llama.cpp's own routine.

    packaging/venv.sh python tests/bench/k_search.py [--types q4_k,q2_k] [--hidden 1024] [--blocks 4] [--threads 2]

Both get random weights of the same shapes and an importance for each column. Ours is the time of all blocks of an
`opt_rtn` job by its events; llama.cpp's is `ggml_quantize_chunk` out of the package xllamacpp, a chunk of rows per
call, on as many threads. Prints one JSON document in nanoseconds per weight.
"""
import argparse
import concurrent.futures
import ctypes
import json
import os
import pathlib
import sys
import tempfile
import time

import measured_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLI = pathlib.Path(os.environ.get("BITSMITH_CLI", ROOT / "build" / "dev" / "app" / "cli" / "bitsmith-cli"))
sys.path.insert(0, str(ROOT / "tests" / "interop"))
ROWS_PER_CALL = 64


def ours(model, text, kind, threads, work):
    events = work / f"{kind}.events"
    measured_process.run([CLI, "quantize", model, "--scheme", f"gguf:{kind}", "--recipe", "opt_rtn", "--smoothing", "off",
                          "--format", "gguf", "--output", work / f"out-{kind}",
                          "--dataset", text, "--nsamples", "8", "--seqlen", "64", "--threads", threads,
                          "--run-dir", work / f"run-{kind}", "--events", events], work / f"{kind}.log")
    blocks = [json.loads(line) for line in events.read_text().splitlines() if '"block_finished"' in line]
    return sum(block["seconds"] for block in blocks)


def llama_cpp(shapes, kind, threads):
    import gguf
    import numpy
    import xllamacpp

    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    quantize = library.ggml_quantize_chunk
    floats = numpy.ctypeslib.ndpointer(numpy.float32, flags="C")
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, floats, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, floats]
    number = gguf.GGMLQuantizationType[kind.upper()]
    block, size = gguf.GGML_QUANT_SIZES[number]
    random = numpy.random.default_rng(1)
    seconds = 0.0
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for rows, columns in shapes:
            values = random.standard_normal((rows, columns), numpy.float32)
            importance = random.random(columns, numpy.float32) + 0.1
            data = numpy.empty((rows, columns // block * size), numpy.uint8)

            def chunk(first):
                count = min(ROWS_PER_CALL, rows - first)
                quantize(number.value, values, data.ctypes.data, first * columns, count, columns, importance)

            start = time.monotonic()
            list(pool.map(chunk, range(0, rows, ROWS_PER_CALL)))
            seconds += time.monotonic() - start
    return seconds


def main():
    from product import tiny_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", default="q4_0,q2_k,q3_k,q4_k,q5_k,q6_k")
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=pathlib.Path, help="write the JSON here too")
    args = parser.parse_args()
    hidden, inner = args.hidden, args.hidden * 4
    shapes = [(hidden, hidden)] * 4 + [(inner, hidden)] * 2 + [(hidden, inner)]
    weights = args.blocks * sum(rows * columns for rows, columns in shapes)
    result = {"threads": args.threads, "weights": weights, "types": []}
    with tempfile.TemporaryDirectory(prefix="bitsmith-k-") as name:
        work = pathlib.Path(name)
        heads = hidden // 64
        model = tiny_model(work / "model", hidden_size=hidden, intermediate_size=inner, num_hidden_layers=args.blocks,
                           num_attention_heads=heads, num_key_value_heads=heads, head_dim=64)
        text = work / "text.txt"
        text.write_text("the quick brown fox jumps over the lazy dog. " * 400)
        for kind in args.types.split(","):
            mine = ours(model, text, kind, args.threads, work) / weights * 1e9
            theirs = llama_cpp(shapes * args.blocks, kind, args.threads) / weights * 1e9
            result["types"].append({"type": kind, "ours_ns": mine, "llama_cpp_ns": theirs, "speedup": theirs / mine})
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
