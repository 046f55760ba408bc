# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs all interop tests and writes README.md: which pair of format and scheme was loaded by what.

    packaging/venv.sh python tests/interop/table.py --cli build/dev/app/cli/bitsmith-cli
"""

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def checked_by(script, cli):
    """What one script checked; None when it was skipped."""
    with tempfile.TemporaryDirectory() as work:
        rows = Path(work) / "rows.json"
        done = subprocess.run([HERE / "run.sh", script, "--cli", cli, "--rows", rows], stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        if done.returncode == 77:
            return None
        if done.returncode != 0:
            sys.exit(f"{script.name} failed; the table is not written")
        return json.loads(rows.read_text())


def section(script, checked):
    versions = ", ".join(f"{name} {version}" for name, version in checked["versions"].items())
    lines = [f"## {script.stem.removeprefix('test_')}", "", ast.get_docstring(ast.parse(script.read_text())), "",
             f"With {versions}."]
    if checked["rows"]:
        lines += ["", "| format | scheme | test |", "|---|---|---|"]
        lines += [f"| {form} | {scheme} | `{test}` |" for form, scheme, test in checked["rows"]]
    return "\n".join(lines) + "\n"


def write(checked):
    """`checked`: by script; None for one that was skipped."""
    (HERE / "README.md").write_text(
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->\n# What was loaded by what\n\n"
        "Written by `table.py`; each row passed with the versions named, without a warning about our files.\n\n"
        + "\n".join(section(script, found) for script, found in checked.items() if found))


def check(cli):
    """Every pair that the program offers has a row."""
    listed = subprocess.run([cli, "list", "formats", "--json"], stdout=subprocess.PIPE, check=True, text=True).stdout
    table = (HERE / "README.md").read_text()
    missing = [f"{item['id']} {scheme}" for item in json.loads(listed)["formats"] for scheme in item["schemes"]
               if f"| {item['id']} | {scheme} |" not in table]
    if missing:
        sys.exit("loaded by no program in README.md: " + ", ".join(missing))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cli", required=True, type=Path)
    parser.add_argument("--check", action="store_true", help="run nothing: is every pair in the table that is there?")
    arguments = parser.parse_args()
    if arguments.check:
        return check(arguments.cli)
    write({script: checked_by(script, arguments.cli.resolve()) for script in sorted(HERE.glob("test_*.py"))})


if __name__ == "__main__":
    main()
