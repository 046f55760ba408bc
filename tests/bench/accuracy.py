#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""KL divergence of our settings and of auto-round's, on several texts, with several seeds.

    packaging/venv.sh python tests/bench/accuracy.py [--bits 4,2] [--variants default,mse] [--seeds 42,43] [--work DIR]

All programs get the same model and the same 64 x 256 calibration tokens of web text; one judge measures every export
on encyclopedia text, technical prose, and code, which is unlike the calibration text. Prints one table, with the ratio
to auto-round where that was measured, and writes the figures as JSON. A result that lies in the work folder already is
not computed again, so that variants can be added one by one.
"""
import argparse
import json
import os
import pathlib

import comparison

TEXTS = {"wiki": "wikitext2-test.raw", "tech": "technical.utf8", "code": "code.utf8"}
OURS = {
    "reference": ["--reference-mode"],
    "default": [],
    "mse": ["--objective", "mse"],
    "minmax": ["--start", "minmax"],
    "minmax mse": ["--start", "minmax", "--objective", "mse"],
    "no touch-up": ["--touch-up", "off"],
    "mimic": ["--set", "recipe.mimic_reference=true", "--touch-up", "off"],
    "gptq": ["--recipe", "gptq"],
    "opt_rtn": ["--recipe", "opt_rtn"],
    "rtn": ["--recipe", "rtn"],
}
PEERS = {
    "auto-round": {},
    "auto-round alg_ext": {"enable_alg_ext": True},
    "auto-round opt_rtn": {"iters": 0},
}


def measure(args, work, model, bits, name, seed):
    settings = {"bits": bits, "group_size": args.group_size, "iters": args.iters, "seqlen": 256, "batch_size": 8}
    out = work / f"{name.replace(' ', '-')}-w{bits}-s{seed}"
    if name in PEERS:
        result, exported = comparison.run_peer(
            model, work / "calibration.safetensors", out, args.threads,
            settings | {"sym": True, "seed": seed} | PEERS[name])
    else:
        flags = ["--dataset", work / "calibration.safetensors", "--nsamples", 64, "--seed", seed,
                 "--threads", args.threads]
        flags += OURS[name]
        steps = {} if "--recipe" in OURS[name] else {"iters": args.iters}
        for key, value in (settings | steps).items():
            if key != "iters" or steps:
                flags += ["--" + key.replace("_", "-"), value]
        result, exported = comparison.run_ours(model, out, flags), out
    for title, file in TEXTS.items():
        judged = comparison.judge(exported, model, comparison.FIXTURES / "text" / file)
        result[title] = judged["kld_mean"]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="4,2")
    parser.add_argument("--seeds", default="42,43")
    parser.add_argument("--variants", default="auto-round,reference,default",
                        help="of: " + ", ".join([*OURS, *PEERS]))
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--iters", type=int, default=50)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for models, logs and figures")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    model = args.work / "model"
    if not (model / "config.json").exists():
        comparison.prepare(args.work, 64, 256)
    figures_file = args.work / "accuracy.json"
    figures = json.loads(figures_file.read_text()) if figures_file.exists() else {}
    for bits in [int(b) for b in args.bits.split(",")]:
        for seed in [int(s) for s in args.seeds.split(",")]:
            for name in args.variants.split(","):
                key = f"W{bits}/{seed}/{name}"
                if key not in figures:
                    figures[key] = measure(args, args.work, model, bits, name, seed)
                    figures_file.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{'bits':4} {'seed':4} {'variant':20} {'seconds':>8} {'MiB':>6}"
          + "".join(f"{title:>9} {'ratio':>6}" for title in TEXTS))
    for key, figure in figures.items():
        width, seed, name = key.split("/")
        peer = figures.get(f"{width}/{seed}/auto-round")
        row = f"{width:4} {seed:4} {name:20} {figure['seconds']:8.0f} {figure['peak_rss_bytes'] / 2**20:6.0f}"
        for title in TEXTS:
            ratio = f"{figure[title] / peer[title]:6.3f}" if peer else "     -"
            row += f"{figure[title]:9.4f} {ratio}"
        print(row)


if __name__ == "__main__":
    main()
