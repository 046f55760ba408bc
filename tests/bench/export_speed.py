#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and memory of writing a finished run in each format, against a plain copy of the same bytes.

    packaging/venv.sh python tests/bench/export_speed.py [--hidden 2048] [--blocks 8] [--formats FORMAT=SCHEME,...]

A random model is rounded once per scheme; then the run is exported. Prints one JSON document: bytes written, bytes of
the weights read, seconds of the export and of the copy (written through to the disk, as an export is), the ratio of
the two speeds, and the peak RSS over what is allowed to it (twice the largest tensor and 300 MB). An export
reads all again and compares it with the run; `verify_seconds` is the time of doing that once more, the start of the
program and the check of all SHA-256 included.
"""
import argparse
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
CHUNK = 1 << 20


def copy_folder(source, target):
    """Seconds of copying all files of a folder and flushing them."""
    target.mkdir()
    start = time.monotonic()
    for file in sorted(source.iterdir()):
        with open(file, "rb") as reader, open(target / file.name, "wb") as writer:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    return time.monotonic() - start


def measure(run, form, work, largest):
    out = work / form
    ours = measured_process.run([CLI, "export", run, "--format", form, "--output", out], work / f"{form}.log")
    verifying = measured_process.run([CLI, "verify", out, "--run", run], work / f"{form}-verify.log")["seconds"]
    written = sum(f.stat().st_size for f in out.iterdir())
    copying = copy_folder(out, work / f"{form}-copy")
    allowed = 2 * largest + 300_000_000
    return {"format": form, "written_bytes": written, "seconds": ours["seconds"], "verify_seconds": verifying,
            "copy_seconds": copying, "speed_ratio": copying / ours["seconds"],
            "peak_rss_bytes": ours["peak_rss_bytes"], "peak_ratio": ours["peak_rss_bytes"] / allowed}


def main():
    from product import tiny_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--formats", default="auto_round=W4A16,auto_gptq=W4A16,llm_compressor=W4A16,mlx=W4A16,"
                                             "gguf=gguf:q4_k_m,fake=W4A16")
    parser.add_argument("--work", type=pathlib.Path, help="where the folders are made; a folder of the system's choice")
    parser.add_argument("--output", type=pathlib.Path, help="write the JSON here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bitsmith-export-", dir=args.work) as name:
        work = pathlib.Path(name)
        model = tiny_model(work / "model", hidden_size=args.hidden, intermediate_size=args.hidden * 4,
                           num_hidden_layers=args.blocks, num_attention_heads=args.hidden // 128,
                           num_key_value_heads=args.hidden // 256, head_dim=128)
        largest = args.hidden * args.hidden * 4 * 2
        result = {"hidden": args.hidden, "blocks": args.blocks, "largest_tensor_bytes": largest,
                  "model_bytes": sum(f.stat().st_size for f in model.glob("*.safetensors")), "exports": []}
        runs = {}
        for pair in args.formats.split(","):
            form, scheme = pair.split("=")
            if scheme not in runs:
                runs[scheme] = work / f"run-{len(runs)}"
                measured_process.run([CLI, "quantize", model, "--scheme", scheme, "--recipe", "rtn", "--format", "fake", "--output", work / f"start-{len(runs)}",
                                      "--run-dir", runs[scheme]], work / "quantize.log")
            result["exports"].append(measure(runs[scheme], form, work, largest))
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
