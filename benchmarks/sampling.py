"""
Where the server's CPU goes while 32 callers ask.

How much each thread uses is the kernel's account. How that divides is from samples of its
stack while it holds the interpreter's lock, so that waiting does not count. A sample belongs
to the innermost frame that is not Python's own: what ``json`` does for ``ai`` is ``ai``'s, and
time in C is that of the frame that called it.
"""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks import kernel
from benchmarks.compare import SCENARIOS, finish, start_load
from benchmarks.tables import markdown
from benchmarks.targets import BUILD, ROOT, Server

PY_SPY = BUILD / "py-spy" / "bin" / "py-spy"
SAMPLES_A_SECOND = 250
LEAST_SHARE = 0.01
#: How py-spy names a thread in the first place of a stack.
THREAD = re.compile(r"thread \((\d+)\): (.+)")


class Profile:
    """The CPU seconds of each thread, and how its samples divide among their owners."""

    def __init__(self, seconds: dict[int, float], stacks: str) -> None:
        """``stacks`` has a line ``thread;frame;frame;… count`` for each stack, the innermost frame last."""
        self._seconds = seconds
        self._total = sum(seconds.values())
        self._names: dict[int, str] = {}
        self._samples: dict[int, Counter[str]] = defaultdict(Counter)
        for line in stacks.splitlines():
            stack, _, count = line.rpartition(" ")
            label, *frames = stack.split(";")
            if found := THREAD.fullmatch(label):
                thread = int(found[1])
                self._names[thread] = found[2]
                self._samples[thread][owner(frames)] += int(count)

    def tables(self) -> str:
        parts = []
        for thread, name in sorted(self._names.items(), key=lambda item: -self._share(item[0])):
            if self._share(thread) >= LEAST_SHARE:
                parts += [f"### {name}: {self._share(thread):.0%} of the server's CPU", self._table(thread)]
        return "\n\n".join(parts)

    def _share(self, thread: int) -> float:
        return self._seconds.get(thread, 0) / self._total

    def _table(self, thread: int) -> str:
        counts = self._samples[thread]
        shares = [(name, self._share(thread) * count / counts.total()) for name, count in counts.most_common()]
        named = [(name, share) for name, share in shares if share >= LEAST_SHARE]
        rest = self._share(thread) - sum(share for _, share in named)
        lines = [("", "share"), *((name, f"{share:.1%}") for name, share in [*named, ("the rest", rest)])]
        return markdown(lines)


def profile(server: Server, *, seconds: int) -> str:
    """Sample ``server`` under load and return the shares of its threads and their modules as Markdown."""
    stacks, pid = BUILD / "profile.txt", server.process.pid
    load = start_load(server, SCENARIOS["c32"], seconds=seconds + 2)
    command = [str(PY_SPY), "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(SAMPLES_A_SECOND)]
    command += ["--threads", "--gil", "--format", "raw", "--full-filenames", "--output", str(stacks)]
    command += ["--nonblocking"]  # stopped threads would all run again at each sample
    before = kernel.thread_cpu_seconds(pid)
    subprocess.run(command, check=True, stdout=sys.stderr)
    spent = {thread: after - before.get(thread, 0) for thread, after in kernel.thread_cpu_seconds(pid).items()}
    finish(load)
    return Profile(spent, stacks.read_text()).tables()


def owner(frames: list[str]) -> str:
    """Whose a stack is: a file of ours, else a package; each frame is ``function (path:line)``."""
    for frame in reversed(frames):
        path = Path(frame.rpartition(" (")[2].rpartition(":")[0])
        if "site-packages" in path.parts:
            return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
        if path.is_relative_to(ROOT):
            return str(path.relative_to(ROOT))
    return "Python"
