# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs bitsmith-cli, and makes the tiny models that it is run on."""

import argparse
import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path


CALIBRATED = ["FP8_STATIC", "NVFP4"]  # scales of activations come from a calibration


class Product:
    """The command line program; every call raises with its messages when it ends with another status."""

    def __init__(self, cli):
        self.cli = str(cli)
        self.exported = []  # pairs of format and scheme

    def run(self, *arguments, status=0):
        command = [self.cli, *map(str, arguments)]
        if command[1] == "quantize" and "--format" in command:
            self.exported.append(tuple(command[command.index(word) + 1] for word in ("--format", "--scheme")))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != status:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}, not {status}:\n{done.stderr}")
        return done.stdout

    def schemes_of(self, fmt):
        """Schemes of the catalogue that quantize and that a format holds."""
        formats = json.loads(self.run("list", "formats", "--json"))["formats"]
        return next(item["schemes"] for item in formats if item["id"] == fmt)

    def quantize(self, model, scheme, fmt, work, *more, status=0):
        """Rounds without tuning; returns (folder of the export, folder of the run). Status 5: some layers could not
        get the type that was asked for."""
        output, run = work / "export", work / "run"
        self.run("quantize", model, "--scheme", scheme, *rounding(scheme, work), "--format", fmt,
                 "--output", output, "--run-dir", run, "--json", *more, status=status)
        self.run("verify", output)
        return output, run

    def logits(self, model, ids, work):
        from safetensors.torch import load_file
        file = work / "trace.safetensors"
        self.run("trace", model, "--ids", ",".join(map(str, ids)), "--output", file)
        return load_file(file)["logits"]

    def generate(self, model, prompt, tokens):
        text = self.run("generate", model, "--prompt", prompt, "--max-tokens", tokens,
                        "--temperature", 0, "--json")
        return json.loads(text)["text"]


def rounding(scheme, work):
    """Arguments that round without tuning, and without changing norms."""
    if scheme not in CALIBRATED:
        return ["--recipe", "rtn"]
    text = work / "text.txt"
    text.write_text(" ".join(f"The number {i} follows the number {i - 1}." for i in range(1, 400)))
    return ["--recipe", "opt_rtn", "--smoothing", "off", "--dataset", text, "--nsamples", 8, "--seqlen", 64]


def every_scheme(fmt, check, *others):
    """A test by `check(product, folder, scheme)` of each scheme that a format holds, apart from `others`, which another
    test has."""
    def test_every_scheme(product, work):
        for scheme in product.schemes_of(fmt):
            if scheme in others:
                continue
            folder = work / scheme.replace(":", "-")
            folder.mkdir()
            try:
                check(product, folder, scheme)
            except Exception as error:
                raise AssertionError(f"{scheme}: {type(error).__name__} {error}") from error
            shutil.rmtree(folder)
    return test_every_scheme


def cache_scales(folder):
    """Of the keys and values of each block, by their names in a folder of compressed-tensors."""
    from safetensors.torch import load_file
    scales = {name: values.float().flatten() for name, values in load_file(folder / "model.safetensors").items()
              if name.endswith((".k_scale", ".v_scale"))}
    assert len(scales) == 4, f"two blocks have the scales {sorted(scales)}"
    return scales


def check_tokens(product, folder, last_logits, ids, work, tolerance):
    """A loader's greedy continuation of 64 tokens is ours: each of them is our choice after the same ones, or behind it
    by no more than the tolerance of logits explains. `last_logits`: ids -> the loader's logits after them."""
    tokens = list(ids)
    for _ in range(64):
        tokens.append(int(last_logits(tokens).argmax()))
    ours = product.logits(folder, tokens[:-1], work)[len(ids) - 1:]
    behind = [float(row.max() - row[token]) for row, token in zip(ours, tokens[len(ids):])]
    print(f"    {sum(gap == 0 for gap in behind)} of 64 tokens equal, furthest behind {max(behind):.1e}")
    assert max(behind) <= 2 * tolerance * float(ours.abs().max()), f"another token, behind ours by {max(behind)}"


def with_torch(model):
    """check_tokens' view of a model of transformers."""
    import torch

    def last_logits(ids):
        with torch.no_grad():
            return model(torch.tensor([ids])).logits[0, -1].float()
    return last_logits


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return Path(os.environ.get("BITSMITH_CACHE", base + "/bitsmith"))


def demo_model():
    """The demo model's GGUF, or None."""
    files = sorted(cache_folder().glob("models/SmolLM2-135M-Instruct*.gguf"))
    return files[0] if files else None


def byte_tokenizer(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {character: index for index, character in enumerate(alphabet)}
    merges = []
    for left, right in [("t", "h"), ("th", "e"), ("i", "n"), ("a", "n"), ("\u0120", "the")]:
        vocab[left + right] = len(vocab)
        merges.append((left, right))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder)
    return len(fast)


def unspeakable(folder):
    """Ids whose text is not ASCII, and the special ones."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [i for i in range(len(tokenizer))
            if i in tokenizer.all_special_ids or not tokenizer.decode([i]).isascii()
            or not tokenizer.decode([i]).isprintable()]


def tiny_model(folder, family="llama", dtype="bfloat16", **changes):
    """A random decoder of two blocks with a byte-level tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    folder.mkdir(parents=True, exist_ok=True)
    vocab = byte_tokenizer(folder)
    sizes = dict(vocab_size=vocab, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, head_dim=32,
                 max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=vocab - 2,
                 eos_token_id=vocab - 1)
    sizes.update(changes)
    config = AutoConfig.for_model(family, **sizes)
    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_config(config)
    tied = sizes["tie_word_embeddings"]
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name == "model.norm.weight" and tied:
                values.normal_(20.0, 1.0)  # small embeddings make a flat head
            elif name.endswith("norm.weight"):
                values.normal_(0.0 if family.startswith("gemma") else 1.0, 0.1)
            elif values.dim() == 1:
                values.normal_(0.0, 0.2)
            elif "embed_tokens" in name:
                values.normal_(0.0, 0.02 if tied else 1.0)
            else:
                values.normal_(0.0, (6.0 if "lm_head" in name else 1.0) / values.shape[1] ** 0.5)
        # llama.cpp reports no probabilities for parts of characters, and ends at the end token.
        model.get_output_embeddings().weight[unspeakable(folder)] = 0
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def overheard():
    """A list to which all warnings are added from now on: those of loggers, and Python's own."""
    said = []
    make_record = logging.getLogRecordFactory()

    def heard_record(*arguments, **details):
        record = make_record(*arguments, **details)
        if record.levelno >= logging.WARNING:
            said.append(f"{record.name}: {record.getMessage()}")
        return record

    def heard_warning(message, category, *place, **details):
        said.append(f"{category.__name__}: {message}")

    logging.setLogRecordFactory(heard_record)
    warnings.showwarning = heard_warning
    warnings.simplefilter("always")
    warnings.simplefilter("ignore", ResourceWarning)  # of temporary folders
    return said


# What programs say about other things than our files, as expressions.
OF_THE_MACHINE = ["triton not found", "no API key is set"]
OF_THE_TEST_MODEL = ["^transformers.modeling_rope_utils: "]  # fewer positions than its scaling stands for
OF_AUTO_ROUND = ["already has a `quantization_config` attribute",  # the tests choose its kernel
                 "Forced model to torch.float16", "is still in experimental stage"]


@contextlib.contextmanager
def native_warnings(logger, mark):
    """What native code writes to standard error goes to a logger: lines in which `mark`, an expression, is found."""
    with tempfile.TemporaryFile("w+") as words:
        kept = os.dup(2)
        os.dup2(words.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            words.seek(0)
            for line in words:
                sys.stderr.write(line)
                if re.search(mark, line):
                    logging.getLogger(logger).warning("%s", line.strip())


def check_silence(said, harmless):
    """Programs load our files without a word against them."""
    complaints = [text for text in dict.fromkeys(said)
                  if not any(re.search(words, text, re.DOTALL) for words in [*OF_THE_MACHINE, *harmless])]
    assert not complaints, "said while loading: " + " | ".join(complaints)


def main(tests, needs=(), harmless=(), prepare=None):
    """Runs the named functions; 77 when a package is absent. A test fails when something is said that no expression
    of `harmless` matches; what `prepare` makes programs say, which is about the machine, is not heard."""
    import importlib.metadata
    import importlib.util
    parser = argparse.ArgumentParser()
    parser.add_argument("--cli", required=True, type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--rows", type=Path, help="where to write what was checked, for table.py")
    arguments = parser.parse_args()
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        print("skipped: not installed:", ", ".join(missing))
        sys.exit(77)
    if prepare:
        prepare()
    failed, rows, said = 0, [], overheard()
    for test in tests:
        if arguments.only not in test.__name__:
            continue
        with tempfile.TemporaryDirectory(prefix="bitsmith-interop-") as work:
            product = Product(arguments.cli)
            try:
                said.clear()
                test(product, Path(work))
                check_silence(said, harmless)
                print("passed", test.__name__, flush=True)
                rows += [(*pair, test.__name__) for pair in dict.fromkeys(product.exported)]
            except Exception as error:  # the other tests still say something
                failed += 1
                print("FAILED", test.__name__, type(error).__name__, error, flush=True)
    if arguments.rows:
        versions = {name: importlib.metadata.version(name) for name in needs}
        arguments.rows.write_text(json.dumps({"versions": versions, "rows": rows}))
    sys.exit(1 if failed else 0)
