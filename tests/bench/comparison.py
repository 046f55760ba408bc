# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo model as both programs read it, auto-round as a process, and the judge of their exports."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import measured_process

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = pathlib.Path(os.environ.get("BITSMITH_FIXTURES", ROOT.parent / "shared" / "fixtures"))
CACHE = pathlib.Path(
    os.environ.get("BITSMITH_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "bitsmith"
)
CLI = pathlib.Path(os.environ.get("BITSMITH_CLI", ROOT / "build" / "dev" / "app" / "cli" / "bitsmith-cli"))

PEER = r"""
import json, sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from auto_round import AutoRound
model_dir, ids, out, threads, options, form = sys.argv[1:7]
torch.set_num_threads(int(threads))
tokenizer = AutoTokenizer.from_pretrained(model_dir)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype="auto")
samples = [row.unsqueeze(0) for row in load_file(ids)["input_ids"]]
AutoRound(model, tokenizer, nsamples=len(samples), dataset=samples, device_map="cpu", **json.loads(options),
          ).quantize_and_save(out, format=form)
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


def run_ours(model, out, flags, form="auto_round"):
    """Quantizes `model` into `out`; wall time and peak memory."""
    run = out.with_suffix(".run")
    for folder in (out, run):
        shutil.rmtree(folder, ignore_errors=True)
    return measured_process.run([CLI, "quantize", model, *flags, "--format", form, "--output", out,
                                 "--run-dir", run], out.with_suffix(".log"))


def run_peer(model, calibration, out, threads, options, form="auto_round"):
    """The same by auto-round; gives its export too: a folder, or a GGUF file."""
    shutil.rmtree(out, ignore_errors=True)
    result = measured_process.run(
        [sys.executable, "-c", PEER, model, calibration, out, threads, json.dumps(options), form], out.with_suffix(".log"))
    found = [*out.rglob("*.gguf"), *(p.parent for p in out.rglob("config.json"))]
    if not found:
        sys.exit(f"auto-round wrote no model below {out}")
    return result, found[0]


def judge(model, reference, text):
    """Distance of an export from the original on 8192 tokens of a text, by our `eval`."""
    out = subprocess.run([CLI, "eval", model, "--reference", reference, "--text", text, "--tokens", "8192",
                          "--seqlen", "512", "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)
