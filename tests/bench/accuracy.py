#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""KL divergence of our settings and of others', on several texts, with several seeds.

    packaging/venv.sh python tests/bench/accuracy.py [--schemes W4,W2] [--variants default,auto-round] [--work DIR]

All programs get the same model and the same 64 x 256 calibration tokens of web text; one judge measures every export
on encyclopedia text, technical prose, and code, which is unlike the calibration text. Prints one table, with the ratio
to auto-round where that was measured, and writes the figures as JSON. A result that lies in the work folder already is
not computed again, so that variants can be added one by one. K types need widths that are multiples of 256: they get
the model with channels of zeros added, which computes the same.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import comparison
import measured_process
import widen

TEXTS = {"wiki": "wikitext2-test.raw", "tech": "technical.utf8", "code": "code.utf8"}
# Scheme: our flags and format, auto-round's arguments and format. `fake`: decoded weights, since no loader of its own
# format computes with activations as they are.
SCHEMES = {
    **{f"W{bits}": (["--bits", bits, "--group-size", 64], "auto_round",
                    {"bits": bits, "group_size": 64, "sym": True}, "auto_round") for bits in (2, 3, 4)},
    "MXFP4": (["--scheme", "MXFP4A16"], "llm_compressor", {"scheme": "MXFP4", "act_bits": 16}, "fake"),
    # auto-round has no NVFP4 with inputs as they are; the judge rounds them as runtimes do.
    "NVFP4": (["--scheme", "NVFP4"], "llm_compressor", {"scheme": "NVFP4"}, "llm_compressor"),
    "Q4_0": (["--scheme", "gguf:q4_0"], "gguf", {"scheme": "GGUF:Q4_0"}, "fake"),
    # One type for all layers, against llama.cpp; auto-round has K types in mixes only.
    **{f"Q{bits}_K": (["--scheme", f"gguf:q{bits}_k"], "gguf", None, None) for bits in (2, 4)},
    # The mixes are the same in both programs: the types of all tensors agree.
    **{f"Q{bits}_K_S": (["--scheme", f"gguf:q{bits}_k_s"], "gguf", {"scheme": f"GGUF:Q{bits}_K_S"}, f"gguf:q{bits}_k_s")
       for bits in (2, 4)},
}
OURS = {
    "reference": ["--reference-mode"],
    "default": [],
    "mse": ["--objective", "mse"],
    "fisher": ["--objective", "fisher"],
    "minmax": ["--start", "minmax"],
    "compensated": ["--start", "compensated"],
    "original inputs": ["--set", "recipe.enable_quanted_input=false"],
    "minmax mse": ["--start", "minmax", "--objective", "mse"],
    "touch-up": ["--touch-up", "on"],
    "no touch-up": ["--touch-up", "off"],
    "mimic": ["--set", "recipe.mimic_reference=true", "--touch-up", "off"],
    "gptq": ["--recipe", "gptq"],
    "gptq no touch-up": ["--recipe", "gptq", "--touch-up", "off"],
    "gptq smoothed": ["--recipe", "gptq", "--smoothing", "awq"],
    "opt_rtn": ["--recipe", "opt_rtn"],
    "rtn": ["--recipe", "rtn"],
}
PEERS = {
    "auto-round": {},
    "auto-round 200": {"iters": 200},
    "auto-round alg_ext": {"enable_alg_ext": True},
    "auto-round opt_rtn": {"iters": 0},
}
# llama.cpp's own quantization with an importance matrix of the calibration tokens.
LLAMA_CPP = "llama.cpp imatrix"


def measure(args, model, scheme, name, seed):
    flags, form, options, peer_form = SCHEMES[scheme]
    steps = {"iters": args.iters, "seqlen": 256, "batch_size": 8}
    out = args.work / f"{name.replace(' ', '-')}-{scheme.lower()}-s{seed}"
    calibration = args.work / "calibration.safetensors"
    if name == LLAMA_CPP:
        result = measured_process.run([sys.executable, pathlib.Path(__file__).with_name("llama_cpp_peer.py"), model,
                                       calibration, out, scheme], out.with_suffix(".log"))
        exported = out
    elif name in PEERS:
        if options is None:
            sys.exit(f"{name} has no {scheme}")
        result, exported = comparison.run_peer(
            model, calibration, out, args.threads, steps | options | {"seed": seed} | PEERS[name], peer_form)
    else:
        flags = [*flags, "--dataset", calibration, "--nsamples", 64, "--seed", seed, "--threads", args.threads,
                 *OURS[name]]
        if "--recipe" in OURS[name]:
            steps.pop("iters")
        for key, value in steps.items():
            flags += ["--" + key.replace("_", "-"), value]
        result = comparison.run_ours(model, out, flags, form)
        exported = next(out.glob("*.gguf")) if form == "gguf" else out
    for title, file in TEXTS.items():
        judged = comparison.judge(exported, model, comparison.FIXTURES / "text" / file)
        result[title] = judged["kld_mean"]
    return result


def model_for(args, scheme):
    """The demo model, or its widened twin for K types."""
    model = args.work / "model"
    if not (model / "config.json").exists():
        comparison.prepare(args.work, 64, 256)
    if "_K" not in scheme:
        return model
    wide = args.work / "wide-model"
    if not (wide / "config.json").exists():
        widen.widen(model, wide)
    return wide


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemes", default="W4,W2", help="of: " + ", ".join(SCHEMES))
    parser.add_argument("--seeds", default="42,43")
    parser.add_argument("--variants", default="auto-round,reference,default",
                        help="of: " + ", ".join([*OURS, *PEERS, LLAMA_CPP]))
    parser.add_argument("--iters", type=int, default=50)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for models, logs and figures")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    figures_file = args.work / "accuracy.json"
    figures = json.loads(figures_file.read_text()) if figures_file.exists() else {}
    for scheme in args.schemes.split(","):
        model = model_for(args, scheme)
        for seed in [int(s) for s in args.seeds.split(",")]:
            for name in args.variants.split(","):
                key = f"{scheme}/{seed}/{name}"
                if key not in figures:
                    figures[key] = measure(args, model, scheme, name, seed)
                    figures_file.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{'scheme':6} {'seed':4} {'variant':20} {'seconds':>8} {'MiB':>6}"
          + "".join(f"{title:>9} {'ratio':>6}" for title in TEXTS))
    for key, figure in figures.items():
        scheme, seed, name = key.split("/")
        peer = figures.get(f"{scheme}/{seed}/auto-round")
        row = f"{scheme:6} {seed:4} {name:20} {figure['seconds']:8.0f} {figure['peak_rss_bytes'] / 2**20:6.0f}"
        for title in TEXTS:
            ratio = f"{figure[title] / peer[title]:6.3f}" if peer else "     -"
            row += f"{figure[title]:9.4f} {ratio}"
        print(row)


if __name__ == "__main__":
    main()
