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
import shutil
import subprocess
import sys
import tempfile
import time

import measured_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = pathlib.Path(os.environ.get("BITSMITH_FIXTURES", ROOT.parent / "shared" / "fixtures"))
CACHE = pathlib.Path(
    os.environ.get("BITSMITH_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "bitsmith"
)
CLI = pathlib.Path(os.environ.get("BITSMITH_CLI", ROOT / "build" / "dev" / "app" / "cli" / "bitsmith-cli"))

PEER = r"""
import sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from auto_round import AutoRound
model_dir, ids, out, bits, iters, group, seqlen, batch, threads = sys.argv[1:10]
torch.set_num_threads(int(threads))
tokenizer = AutoTokenizer.from_pretrained(model_dir)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype="auto")
samples = [row.unsqueeze(0) for row in load_file(ids)["input_ids"]]
AutoRound(model, tokenizer, bits=int(bits), group_size=int(group), sym=True, iters=int(iters), seqlen=int(seqlen),
          nsamples=len(samples), batch_size=int(batch), dataset=samples, seed=42, device_map="cpu",
          ).quantize_and_save(out, format="auto_round")
"""


def prepare(work, samples, seqlen):
    """bf16 Hugging Face folder of the demo model, and calibration tokens from the C4 text."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = CACHE / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    folder = work / "model"
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = read.config.to_dict()
    config.pop("quantization_config", None)  # a model read from GGUF refuses to be saved
    model = AutoModelForCausalLM.from_config(type(read.config).from_dict(config), dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    text = (FIXTURES / "text" / "c4.utf8").read_text()
    ids = tokenizer(text[: samples * seqlen * 16], add_special_tokens=False)["input_ids"]
    ids = torch.tensor(ids[: samples * seqlen]).reshape(samples, seqlen)
    save_file({"input_ids": ids}, work / "calibration.safetensors")
    return folder


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


def judge(model, reference, text):
    out = subprocess.run([CLI, "eval", model, "--reference", reference, "--text", text, "--tokens", "8192",
                          "--seqlen", "512", "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


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
        prepare(work, args.samples, args.seqlen)
    calibration = work / "calibration.safetensors"
    text = FIXTURES / "text" / "wikitext2-test.raw"
    config = json.loads((model / "config.json").read_text())
    kv = config["num_key_value_heads"] * config["hidden_size"] // config["num_attention_heads"]
    result = {"settings": {k: v for k, v in vars(args).items() if k not in ("work", "output")},
              "product_floor_seconds": product_floor(
                  config["num_hidden_layers"], config["hidden_size"], kv, config["intermediate_size"],
                  args.samples, args.seqlen, args.batch_size, args.iters),
              "bits": {}}
    for bits in [int(b) for b in args.bits.split(",")]:
        entry = {}
        common = ["--bits", str(bits), "--group-size", str(args.group_size), "--iters", str(args.iters),
                  "--nsamples", str(args.samples), "--seqlen", str(args.seqlen), "--batch-size", str(args.batch_size),
                  "--dataset", str(calibration), "--threads", str(args.threads), "--format", "auto_round"]
        for mode, extra in (("reference_mode", ["--reference-mode"]), ("default_mode", [])):
            out, run = work / f"{mode}-w{bits}", work / f"{mode}-w{bits}.run"
            for folder in (out, run):
                shutil.rmtree(folder, ignore_errors=True)
            entry[mode] = measured_process.run(
                [CLI, "quantize", model, *common, *extra, "--output", out, "--run-dir", run],
                work / f"{mode}-w{bits}.log")
            entry[mode]["eval"] = judge(out, model, text)
        if not args.skip_peer:
            out = work / f"peer-w{bits}"
            shutil.rmtree(out, ignore_errors=True)
            entry["auto_round"] = measured_process.run(
                [sys.executable, "-c", PEER, str(model), str(calibration), str(out), str(bits), str(args.iters),
                 str(args.group_size), str(args.seqlen), str(args.batch_size), str(args.threads)],
                work / f"peer-w{bits}.log")
            found = [p.parent for p in out.rglob("config.json")]
            entry["auto_round"]["eval"] = judge(found[0], model, text)
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
