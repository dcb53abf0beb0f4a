"""Runs that are killed, refused and lied to by the system, one call after another, with strace; none may show.

At every system call of a run that touches a file of the target: the process is killed before it, or the call fails, or
it says that it wrote and did not. Afterwards a reader finds the old tables or the new ones, byte by byte, as the exit
code says; and the next run makes the same as one that nothing disturbed, and leaves nothing lying about.

The default run takes a few of these points (others with another SWEEP_SEED). All of them, with the counts:

    pytest -n 2 -m slow -rP tests/faults/test_syscall_sweep.py

`SWEEP_EVERY=10` in the environment takes every tenth.
"""

from __future__ import annotations

import os
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftetl.errors import EXITS
from tests.faults.injection_points import FAULTS, KILL, PLACES, Points, recorded
from tests.faults.runs import NO_STRACE, Ended, Injected, Runs
from tests.faults.targets import COMMITTED, STARTS, Start, made, tables, wrong, wrong_afterwards

DISK = {EXITS["CANTCREAT"].code, EXITS["IOERR"].code}  # how a run ends whose calls fail


pytestmark = pytest.mark.skipif(bool(NO_STRACE), reason=NO_STRACE)


@pytest.fixture(scope="module")
def starts(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Start]:
    return {start.name: start for start in made(runs, tmp_path_factory.mktemp("starts"))}


class Sweep:
    """Faults, one after another, and what came of them."""

    def __init__(self, runs: Runs, start: Start) -> None:
        self.runs, self.start = runs, start
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []

    def inject(self, fault: Injected) -> None:
        """A run with this fault, one without, and a look after each."""
        start = self.start
        start.fresh()
        ended = self.runs.run(*start.argv, stdin=start.stdin, fault=fault)
        on_target = any(call.touches(start.target) for call in ended.hit)
        self.counts["hit" if on_target else "hit elsewhere" if ended.hit else "not reached"] += 1
        killed = fault.fault == KILL and bool(ended.hit)
        found = [*wrong(start, ended, killed=killed), *self._wrong_end(ended, killed=killed)]
        new = start.target.exists() and tables(start.target) == start.new
        self.counts["new" if new else "old"] += 1
        found += wrong_afterwards(start, self.runs.run(*start.argv, stdin=start.stdin), was_new=new)
        self.violations += [f"{start.name}: {fault}: {line}" for line in found]

    @staticmethod
    def _wrong_end(ended: Ended, *, killed: bool) -> Iterator[str]:
        if killed != (ended.status == -9):
            yield f"the end is {ended.status}"
        if not killed and ended.status not in COMMITTED | DISK:
            yield f"a failing disk ended in {ended.last}"

    def assert_clean(self, share: float = 0.9) -> None:
        """No violation, and the faults were really there."""
        kept = self.counts.total() // 2
        print(f"{self.start.name}: {kept} faults ({dict(self.counts)}), {len(self.violations)} violations")
        assert self.violations == []
        assert self.counts["hit"] >= share * kept


def test_a_few_calls_are_hit_and_the_old_or_the_new_tables_are_whole(runs: Runs, tmp_path: Path) -> None:
    chance = random.Random(os.environ.get("SWEEP_SEED", "1"))
    wanted = chance.choice(["data", "leftovers"])  # whose answer comes through stdin
    start = next(start for start in made(runs, tmp_path) if start.name == wanted)
    points = recorded(runs, start, ["", *chance.sample(PLACES[1:], 2)])
    changes = [point for point in points.changes if point.call.name != "close"]
    lies = [point.fault(lie) for point in points.all for lie in point.lies]
    faults = [point.fault(KILL) for point in chance.sample(changes, 4)]
    faults += [point.fault(chance.choice(FAULTS)) for point in chance.sample(points.all, 1)]
    faults += [point.fault(chance.choice(FAULTS)) for point in chance.sample(changes, 2)]
    faults += [chance.choice(lies)]
    # An answer that is cut while it is put by may look like one with fewer jobs.
    faults += [point.fault("retval=1") for point in points.all if "/spool-" in point.call.text and point.lies]

    sweep = Sweep(runs, start)
    for fault in faults:
        sweep.inject(fault)

    sweep.assert_clean(share=0.6)


def _every(faults: list[Injected]) -> list[Injected]:
    """All of them, or as many as are wanted, from another one on for each kind."""
    step = int(os.environ.get("SWEEP_EVERY", "1"))
    return faults[zlib.crc32(faults[0].fault.encode()) % step :: step]


@pytest.fixture(scope="module")
def points(runs: Runs, starts: dict[str, Start]) -> dict[str, Points]:
    """The points of all starts; hardly a call that changes something is none."""
    found = {name: recorded(runs, start) for name, start in starts.items()}
    for one in found.values():
        assert len(one.changes) > 120
        assert len(one.missed) < 0.1 * len(one.changes), one.missed
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
class TestAll:
    def test_killed_before_each(
        self, name: str, runs: Runs, starts: dict[str, Start], points: dict[str, Points]
    ) -> None:
        self.sweep(Sweep(runs, starts[name]), [point.fault(KILL) for point in points[name].changes])

    @pytest.mark.parametrize("error", FAULTS)
    def test_each_fails(
        self, name: str, error: str, runs: Runs, starts: dict[str, Start], points: dict[str, Points]
    ) -> None:
        self.sweep(Sweep(runs, starts[name]), [point.fault(error) for point in points[name].all])

    def test_each_write_lies(self, name: str, runs: Runs, starts: dict[str, Start], points: dict[str, Points]) -> None:
        self.sweep(Sweep(runs, starts[name]), [point.fault(lie) for point in points[name].all for lie in point.lies])

    def sweep(self, sweep: Sweep, faults: list[Injected]) -> None:
        for fault in _every(faults):
            sweep.inject(fault)
        sweep.assert_clean()
