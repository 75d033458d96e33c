"""How much memory a process and all its descendants hold, sampled from /proc while they run."""

import contextlib
import threading
import time
from pathlib import Path

PAGE = 4096
RSS_SECONDS = 0.1
PSS_EVERY = 5  # samples: the kernel walks each process's page tables for it


def parents():
    """{process: its parent}, of all processes there are."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            # The name in brackets may hold anything; the parent is the second field after it.
            found[int(folder.name)] = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return found


def tree(root):
    """The process `root` and its descendants."""
    children = {}
    for process, parent in parents().items():
        children.setdefault(parent, []).append(process)
    found = [root]
    for process in found:  # grows while it is walked
        found += children.get(process, ())
    return found


def resident_bytes(process):
    """Physical pages that the process has mapped; those that it shares with others count in full."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    return 0


def proportional_bytes(process):
    """The same, but a page that n processes share counts 1/n for each: the sum is what the machine really holds."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class MemoryOfTree:
    """While in the with statement, samples the tree of process `root`. Afterwards: peak_rss, peak_pss (bytes summed
    over the tree), peak_processes."""

    def __init__(self, root):
        self._root, self._ended = root, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak_rss = self.peak_pss = self.peak_processes = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()

    def _sample(self):
        number = 0
        while not self._ended.is_set():
            began = time.monotonic()
            processes = tree(self._root)
            self.peak_processes = max(self.peak_processes, len(processes))
            self.peak_rss = max(self.peak_rss, sum(map(resident_bytes, processes)))
            if number % PSS_EVERY == 0:
                self.peak_pss = max(self.peak_pss, sum(map(proportional_bytes, processes)))
            number += 1
            self._ended.wait(max(0.0, RSS_SECONDS - (time.monotonic() - began)))
