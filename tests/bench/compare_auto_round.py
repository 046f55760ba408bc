#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bitsmith against auto-round: same model, same calibration tokens, same settings, one machine, one run.

    packaging/venv.sh python tests/bench/compare_auto_round.py [--bits 4,2] [--iters 50] [--samples 64] [--output FILE]

Prints one JSON document: for each bit width wall time, peak RSS and KL divergence of both programs (each export judged
by `bitsmith-cli eval` on the same tokens), the ratios, and the floor that the matrix products alone set, measured in
the same run. Nothing here asserts: the figures are for people.
"""
import argparse
import json
import os
import pathlib
import tempfile
import time

import comparison


def product_floor(blocks, hidden, kv, inner, samples, seqlen, batch, iters):
    """Seconds that the matrix products of the run need at this machine's sgemm rate, measured now."""
    import torch

    tokens = batch * seqlen
    layers = [("q", hidden, hidden, False), ("k", kv, hidden, False), ("v", kv, hidden, False),
              ("o", hidden, hidden, True), ("gate", inner, hidden, True), ("up", inner, hidden, True),
              ("down", hidden, inner, True)]

    def seconds(m, k, n):
        a, b = torch.randn(m, k), torch.randn(k, n)
        for _ in range(3):
            a @ b
        runs, start = 10, time.monotonic()
        for _ in range(runs):
            a @ b
        return (time.monotonic() - start) / runs

    step = passes = 0.0
    for _, rows, columns, needs_input_gradient in layers:
        forward = seconds(tokens, columns, rows)
        step += forward + seconds(rows, tokens, columns)
        step += seconds(tokens, rows, columns) if needs_input_gradient else 0
        passes += forward
    full_passes = 2 * samples / batch * passes
    return blocks * (iters * step + full_passes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="4,2")
    parser.add_argument("--iters", type=int, default=50)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seqlen", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--skip-peer", action="store_true", help="measure Bitsmith only")
    parser.add_argument("--work", type=pathlib.Path, help="keep files in this folder")
    parser.add_argument("--output", type=pathlib.Path, help="write the JSON here too")
    args = parser.parse_args()
    work = args.work or pathlib.Path(tempfile.mkdtemp(prefix="bitsmith-compare-"))
    work.mkdir(parents=True, exist_ok=True)
    model = work / "model"
    if not (model / "config.json").exists():
        comparison.prepare(work, args.samples, args.seqlen)
    calibration = work / "calibration.safetensors"
    text = comparison.FIXTURES / "text" / "wikitext2-test.raw"
    config = json.loads((model / "config.json").read_text())
    kv = config["num_key_value_heads"] * config["hidden_size"] // config["num_attention_heads"]
    result = {"settings": {k: v for k, v in vars(args).items() if k not in ("work", "output")},
              "product_floor_seconds": product_floor(
                  config["num_hidden_layers"], config["hidden_size"], kv, config["intermediate_size"],
                  args.samples, args.seqlen, args.batch_size, args.iters),
              "bits": {}}
    for bits in [int(b) for b in args.bits.split(",")]:
        entry = {}
        common = ["--bits", bits, "--group-size", args.group_size, "--iters", args.iters, "--nsamples", args.samples,
                  "--seqlen", args.seqlen, "--batch-size", args.batch_size, "--dataset", calibration,
                  "--threads", args.threads]
        for mode, extra in (("reference_mode", ["--reference-mode"]), ("default_mode", [])):
            out = work / f"{mode}-w{bits}"
            entry[mode] = comparison.run_ours(model, out, common + extra)
            entry[mode]["eval"] = comparison.judge(out, model, text)
        if not args.skip_peer:
            options = {"bits": bits, "group_size": args.group_size, "sym": True, "iters": args.iters,
                       "seqlen": args.seqlen, "batch_size": args.batch_size, "seed": 42}
            entry["auto_round"], exported = comparison.run_peer(
                model, calibration, work / f"peer-w{bits}", args.threads, options)
            entry["auto_round"]["eval"] = comparison.judge(exported, model, text)
            ours, peer = entry["reference_mode"], entry["auto_round"]
            entry["ratios"] = {
                "kld": ours["eval"]["kld_mean"] / peer["eval"]["kld_mean"],
                "kld_default_mode": entry["default_mode"]["eval"]["kld_mean"] / peer["eval"]["kld_mean"],
                "seconds": ours["seconds"] / peer["seconds"],
                "seconds_floor": result["product_floor_seconds"] / peer["seconds"],
                "peak_rss": ours["peak_rss_bytes"] / peer["peak_rss_bytes"],
            }
        result["bits"][str(bits)] = entry
    text_out = json.dumps(result, indent=2)
    print(text_out)
    if args.output:
        args.output.write_text(text_out + "\n")


if __name__ == "__main__":
    main()
