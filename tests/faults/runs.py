"""Runs of `ftetl` in forks of one warm process, alone or with strace attached; and what strace saw of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import ftetl

ROOT = Path(ftetl.__file__).parents[1]
_CHANCE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}|spool-\w+|\d+(?=<)")  # what is another in each run

# A kill between two calls that change nothing on the disk is the same kill, so only these are worth one.
CHANGES = (
    *("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "mkdir", "mkdirat"),
    *("link", "linkat", "unlink", "unlinkat", "rmdir", "symlink", "symlinkat", "fchmod", "ftruncate", "flock"),
    "close",
)
LOOKS = ("read", "pread64", "getdents64", "newfstatat", "fstat", "readlink", "readlinkat", "faccessat", "faccessat2")


SAID = "said"  # the name of the files for what a run says


def _no_strace() -> str:
    if not (strace := shutil.which("strace")):
        return "strace is not there"
    probe = [strace, "-o", os.devnull, "-e", "inject=getpid:retval=1", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace cannot trace here: {done.stderr.strip()}"


NO_STRACE = _no_strace()  # why nothing can be injected here


@dataclass(frozen=True)
class Call:
    """One system call: of which thread, by its entry in the trace; `number` counts those of a name in a thread."""

    thread: int
    name: str
    number: int
    text: str

    def touches(self, path: Path) -> bool:
        """Whether it is about something under the path."""
        return re.search(rf'{re.escape(str(path))}[/>"]', self.text) is not None

    @property
    def what(self) -> str:
        """What it is about, the same in every run."""
        return f"{self.name}({_CHANCE.sub('…', self.text.partition(' = ')[0].partition(' <unfin')[0].rstrip(') '))})"


@dataclass(frozen=True)
class Injected:
    """A fault to be injected: strace's words for it, into the `number`-th call of that name, from a place on."""

    name: str
    number: int | str  # `1+`: the first and all others
    fault: str
    place: str = ""

    def words(self) -> list[str]:
        """As strace wants it."""
        return ["-e", f"inject={self.name}:{self.fault}:when={self.number}"]

    def __str__(self) -> str:
        return f"{self.fault} in {self.name} number {self.number}{f' from {self.place} on' if self.place else ''}"


@dataclass
class Ended:
    """How a run ended: its exit code, or minus the signal; what it said; what strace saw."""

    status: int
    out: str
    err: str
    trace: list[Call] = field(default_factory=list)
    hit: list[Call] = field(default_factory=list)  # the calls that the fault was injected into
    pid: int = 0
    reached: bool = True

    @property
    def heard(self) -> bool:
        """Whether no fault kept it from speaking."""
        return not any(SAID + ".err" in call.text for call in self.hit)

    @property
    def last(self) -> str:
        """The last line of what it said."""
        return self.err.rstrip("\n").rpartition("\n")[2]


class Runs:
    """The warm process. Not for two threads."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.pid = 0  # of the run in progress
        self._out = folder / SAID
        self._trace = folder / "trace"
        env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        env |= {"OPENBLAS_NUM_THREADS": "1", "HOME": str(folder), "TMPDIR": "/nonexistent", **(environment or {})}
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # in a fresh clone the first run would make calls that no other one makes
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forkserver.py"))],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip
        self._modules = folder / "modules"
        self._learnt = False

    def run(
        self,
        *argv: object,
        stdin: Path | None = None,
        fault: Injected | None = None,
        place: str = "",
        signals: Iterable[int] = (),
        limits: dict[str, int] | None = None,
    ) -> Ended:
        """One run of `ftetl` with these words; signals come when it is at the place."""
        more = {"place": fault.place if fault else place, "limits": limits or {}}
        return self._run(argv, stdin, more, [fault.name] if fault else [], fault, signals)

    def record(self, *argv: object, stdin: Path | None = None, place: str = "") -> Ended:
        """One run with all its calls that touch files, from a place on."""
        return self._run(argv, stdin, {"place": place}, [*CHANGES, *LOOKS], None)

    def _run(
        self,
        argv: Iterable[object],
        stdin: Path | None,
        more: dict[str, Any],
        names: list[str],
        fault: Injected | None,
        signals: Iterable[int] = (),
    ) -> Ended:
        tell = [] if self._learnt else [str(self._modules)]
        order = {"argv": [*map(str, argv)], "out": str(self._out), "tell": tell, **more}
        begun = self._order(order | ({"stdin": str(stdin)} if stdin else {}))
        self.pid = begun["pid"]
        strace = self._attach(begun["pid"], names, fault) if names and begun["reached"] else None
        for number in signals:
            os.kill(begun["pid"], number)
        status = self._order({"go": True})["status"]
        if strace:
            strace.communicate()
        if not self._learnt:  # what the first run imported, the next ones find there
            self._order({"modules": json.loads(self._modules.read_text("utf-8"))})
            self._learnt = True
        ended = Ended(status, self._said("out"), self._said("err"), pid=begun["pid"], reached=begun["reached"])
        if strace:
            ended.trace, ended.hit = parsed(self._trace.read_text("utf-8", "replace"))
        return ended

    def _attach(self, pid: int, names: list[str], fault: Injected | None) -> subprocess.Popen[str]:
        given = ["strace", "-f", "-y", "-s", "0", "-e", "signal=none", "-o", str(self._trace), "-p", str(pid)]
        given += ["-e", "trace=" + ",".join(f"?{name}" for name in names), *(fault.words() if fault else [])]
        strace = subprocess.Popen(given, stderr=subprocess.PIPE, text=True)
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        return strace

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _said(self, stream: str) -> str:
        return Path(f"{self._out}.{stream}").read_text("utf-8", "replace")

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill() if kind else self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(30)


_ENTRY = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>")
_DIED = re.compile(r"(?:\(|resumed>).* = \?$")  # the process ended in it
_UNFINISHED = "<unfinished ...>"
_KILLED = re.compile(r"(\d+) +\+\+\+ killed by ")


def parsed(trace: str) -> tuple[list[Call], list[Call]]:
    """The calls of a trace in the order of their entries, and those of them with a fault."""
    calls: list[Call] = []
    hit: list[Call] = []
    last: dict[int, Call] = {}
    begun: set[int] = set()  # threads whose last call was interrupted by a line of another one's
    counts: Counter[tuple[int, str]] = Counter()
    for line in trace.splitlines():
        if match := _ENTRY.match(line):
            thread, name = int(match[1]), match[2]
            counts[thread, name] += 1
            last[thread] = Call(thread, name, counts[thread, name], match[3])
            calls.append(last[thread])
            begun -= {thread}
            if line.endswith(_UNFINISHED):
                begun.add(thread)
        elif match := _RESUMED.match(line):
            thread = int(match[1])
            begun -= {thread}
        elif (match := _KILLED.match(line)) and int(match[1]) in begun:
            hit.append(last[int(match[1])])  # it ended in a call whose end was never told
            continue
        else:
            continue
        if "(INJECTED" in line or _DIED.search(line):
            hit.append(last[thread])
    return calls, hit
