#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peak memory of the same job on models of 8 and of 64 blocks.

    packaging/venv.sh python tests/bench/memory_flatness.py [--blocks 8,64] [--hidden 512] [--output FILE]

Blocks are streamed, so the peak must not depend on their number. Prints one JSON document with the size of each model
and the peak RSS of its job, and their ratio. Random weights; the embedding is small, so blocks dominate.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

import measured_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLI = pathlib.Path(os.environ.get("BITSMITH_CLI", ROOT / "build" / "dev" / "app" / "cli" / "bitsmith-cli"))
sys.path.insert(0, str(ROOT / "tests" / "interop"))


def main():
    from product import tiny_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", default="8,64")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--output", type=pathlib.Path, help="write the JSON here too")
    args = parser.parse_args()
    result = {"models": []}
    for blocks in [int(b) for b in args.blocks.split(",")]:
        with tempfile.TemporaryDirectory(prefix="bitsmith-memory-") as name:
            work = pathlib.Path(name)
            model = tiny_model(work / "model", hidden_size=args.hidden, intermediate_size=args.hidden * 3,
                               num_hidden_layers=blocks, num_attention_heads=args.hidden // 64,
                               num_key_value_heads=args.hidden // 128, head_dim=64, vocab_size=288)
            text = work / "text.txt"
            text.write_text("the quick brown fox jumps over the lazy dog. " * 400)
            ours = measured_process.run(
                [CLI, "quantize", model, "--scheme", "W4A16G64", "--iters", "4", "--nsamples", "16", "--seqlen", "128",
                 "--dataset", text, "--format", "auto_round", "--eval", "kld", "--eval-seqlen", "128",
                 "--output", work / "out", "--run-dir", work / "run"], work / "log")
            size = sum(f.stat().st_size for f in model.glob("*.safetensors"))
            result["models"].append({"blocks": blocks, "model_bytes": size, "peak_rss_bytes": ours["peak_rss_bytes"]})
    peaks = [m["peak_rss_bytes"] for m in result["models"]]
    result["ratio"] = peaks[-1] / peaks[0]
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
