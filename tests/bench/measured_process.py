# SPDX-License-Identifier: GPL-3.0-or-later
"""A program run to its end, with its wall time and peak memory."""
import subprocess
import sys
import time

POLL_SECONDS = 0.05


def _peak_rss(pid):
    """VmHWM of a running process in bytes; 0 when it has ended.

    Not ru_maxrss of wait4: that counts the pages of the parent at the time of the fork.
    """
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def run(command, log):
    """Ends this program with the tail of `log` when the command fails."""
    peak = 0
    with open(log, "w") as sink:
        start = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdout=sink, stderr=subprocess.STDOUT)
        while True:
            try:
                status = child.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _peak_rss(child.pid))
        seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"{command[0]} failed with status {status}; see {log}:\n" + open(log).read()[-2000:])
    return {"seconds": seconds, "peak_rss_bytes": peak}
