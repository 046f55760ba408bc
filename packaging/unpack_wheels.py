# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks the downloaded wheels of the pins read from standard input (`name==version`, one a line).

Usage: unpack_wheels.py DOWNLOAD_FOLDER TARGET_FOLDER MEMBER_PATTERN
"""

import fnmatch
import pathlib
import sys
import zipfile

download, target, pattern = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
for pin in sys.stdin.read().split():
    name, version = pin.split("==")
    wheels = list(download.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if len(wheels) != 1:
        sys.exit(f"expected one wheel of {pin} in {download}, found {len(wheels)}")
    with zipfile.ZipFile(wheels[0]) as archive:
        members = [m for m in archive.namelist() if fnmatch.fnmatch(m, pattern)]
        archive.extractall(target, members)
    wheels[0].unlink()
