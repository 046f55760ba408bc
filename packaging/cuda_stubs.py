# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `import torch` work from a CUDA build of torch on a machine without the CUDA wheels.

The Python part of torch is linked against every CUDA library (2 GB of wheels). For each one that
is absent this writes a shared library of the same name whose functions only abort, and a `.pth`
file that loads them before torch. Computations on the CPU never call them; where the real
libraries are present the stubs are not loaded.

Usage: cuda_stubs.py TORCH_ROOT SITE_PACKAGES
"""

import pathlib
import re
import subprocess
import sys

HOOK = '''# SPDX-License-Identifier: GPL-3.0-or-later
import ctypes, glob, os, sys

def load(torch_root, folder):
    sys.path.append(torch_root)
    if glob.glob(os.path.join(torch_root, "nvidia", "**", "libcublas.so.*"), recursive=True):
        return
    for stub in sorted(glob.glob(os.path.join(folder, "*.so*"))):
        ctypes.CDLL(stub, mode=ctypes.RTLD_GLOBAL)
'''


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed_libraries(library):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-W", "-d", library))


def symbols(library):
    """(undefined, version or '', name) of the dynamic symbols, weak undefined ones left out."""
    for line in run("objdump", "-T", library).splitlines():
        match = re.match(r"[0-9a-f]{16} (.{7}) (\S+)\s+[0-9a-f]{16}\s+(.*)$", line)
        if match is None or (match[1][1] == "w" and match[2] == "*UND*") or match[1][0] == "w":
            continue
        *version, name = match[3].split()
        version = version[0].strip("()") if version else ""
        yield match[2] == "*UND*", "" if version == "Base" else version, name


def is_present(soname, folders):
    if any((folder / soname).exists() for folder in folders):
        return True
    return soname in run("/sbin/ldconfig", "-p")


def write_stub(folder, soname, version, names):
    source = folder / "stub.c"
    body = ["#include <stdlib.h>"] + [f"void {name}(void) {{ abort(); }}" for name in sorted(names)]
    source.write_text("\n".join(body) + "\n")
    command = ["gcc", "-shared", "-fPIC", "-fno-builtin", "-w", f"-Wl,-soname,{soname}"]
    script = folder / "stub.map"
    if version:
        script.write_text(f"{version} {{ global: *; }};\n")
        command.append(f"-Wl,--version-script={script}")
    run(*command, "-o", str(folder / soname), str(source))
    source.unlink()
    script.unlink(missing_ok=True)


def main():
    torch_root, site = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
    folder = site / "bitsmith_cuda_stubs"
    folder.mkdir(exist_ok=True)
    lib = torch_root / "torch" / "lib"
    folders = [lib] + sorted(p for p in torch_root.glob("nvidia/*/lib"))
    libraries = [str(p) for p in sorted(lib.glob("*.so*"))]

    absent = {n for l in libraries for n in needed_libraries(l) if not is_present(n, folders)}
    undefined, defined = {}, set()
    for library in libraries + [str(p) for f in folders[1:] for p in f.glob("*.so*")]:
        for is_undefined, version, name in symbols(library):
            if not is_undefined:
                defined.add(name)
            elif library in libraries:
                undefined.setdefault(name, version)

    # Versions are named after their library, except for a few (NVSHMEM).
    by_library = {soname: {} for soname in absent}
    for name, version in undefined.items():
        if name in defined:
            continue
        owner = version if version in absent else None
        if owner is None and version == "NVSHMEM":
            owner = next((s for s in absent if s.startswith("libnvshmem")), None)
        if owner is None and not version and re.match(r"nccl|cu[A-Z]|cufile|cusparseLt", name):
            owner = "libnccl.so.2" if "libnccl.so.2" in absent else None
        if owner is not None:
            by_library[owner][name] = version
    for soname, names in by_library.items():
        write_stub(folder, soname, next((v for v in names.values() if v), ""), names)

    (site / "bitsmith_torch.py").write_text(HOOK)
    (site / "bitsmith_torch.pth").write_text(
        f"import bitsmith_torch; bitsmith_torch.load({str(torch_root)!r}, {str(folder)!r})\n"
    )
    print(f"stubs for {len(absent)} CUDA libraries")


main()
