"""Readers and writers at once: a reader sees one version, and of the writers each is on top of another or tries later.

Run as a program this file is a server that forks: a process of ours then costs milliseconds and not seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.errors import EXITS, FtetlError, StorageError, TryLaterError
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.integrity import find_damage
from ftetl.store.lock import LOCK_FILE
from ftetl.store.manifest import list_versions, load_manifest, newest_manifest, snapshot_folder
from ftetl.store.target import Target

OK, PARTIAL, TRY_LATER = EXITS["OK"].code, EXITS["PARTIAL"].code, EXITS["TEMPFAIL"].code
AT = "2026-07-01T00:00:00Z"
FACTS: dict[str, Any] = {"identity": {"project": "default"}, "contracts": {}, "formats": []}


def job(name: str, stamp: int) -> dict[str, Any]:
    """A job that carries the number of its run in two tables."""
    events = [{"type": "JOB_START", "created_at": AT, "message": str(stamp)}]
    at = f"2026-07-02T{stamp // 3600:02}:{stamp // 60 % 60:02}:{stamp % 60:02}Z"
    return {"id": name, "status": "running", "created_at": AT, "updated_at": at, "suffix": str(stamp), "events": events}


def export(target: Path, source: Path, jobs: list[dict[str, Any]], **options: Any) -> ftetl.Report:
    source.write_text("\n".join(map(json.dumps, jobs)))  # lines are never a whole list: nobody's jobs disappear
    return ftetl.export(target, source=source, observed_at="2026-07-03T00:00:00Z", **options)


# ---- readers during writes -------------------------------------------------------------------------------------------


def read(target: Path) -> int:
    """The run that both tables of the newest version are of."""
    snapshot = ftetl.open(target)
    suffix = set(snapshot.arrow("jobs").column("suffix").to_pylist())
    said = set(snapshot.arrow("events").column("message").to_pylist())
    assert len(suffix) == 1
    assert suffix == said, "a mixture"
    return int(suffix.pop())


def readers_during_writes(target: Path, readers: int, reads: int) -> int:
    """So many reads while a writer commits one version after the other; gives how many it committed meanwhile."""
    names = [f"ft-{n}" for n in range(5)]
    stamps = count(1)

    def write() -> None:
        stamp = next(stamps)
        report = export(target, target.parent / "w.ndjson", [job(name, stamp) for name in names], keep=2)
        assert (report.changed, report.version) == (True, stamp)

    def look(share: int) -> None:
        last = 0
        for _ in range(share):
            seen = read(target)
            assert seen >= last, "an older version after a newer one"
            last = seen

    write()
    with ThreadPoolExecutor(readers) as pool:
        done = [pool.submit(look, reads // readers) for _ in range(readers)]
        while not all(future.done() for future in done):
            write()
        for future in done:
            future.result()
    return next(stamps) - 1


@pytest.mark.parametrize(
    ("readers", "reads"), [(4, 1_000), pytest.param(8, 500_000, marks=pytest.mark.slow)], ids=["bounded", "full"]
)
def test_a_reader_never_sees_a_mixture_or_less_than_a_version(readers: int, reads: int, tmp_path: Path) -> None:
    versions = readers_during_writes(tmp_path / "target", readers, reads)

    print(f"{reads} reads, all clean, during {versions} versions")
    assert versions >= 3


def committed(target: Path, number: int, fs: Fs | None = None, **options: Any) -> None:
    with Target(target, fs=fs, **options) as opened, opened.begin_transaction() as transaction:
        for name in ("a", "b"):
            with transaction.create_file(name) as file:
                file.write(b"%d" % number)
        transaction.commit(FACTS)


def test_ten_thousand_times_the_files_of_a_version_are_of_one_run(tmp_path: Path) -> None:
    """Below the tables, where a read costs little, so that many of them meet a commit."""
    target = tmp_path / "target"
    committed(target, 0)
    met: set[int] = set()

    def look() -> None:
        for _ in range(2_500):
            manifest = newest_manifest(target)
            assert manifest is not None
            found = {(snapshot_folder(target, manifest) / file.name).read_bytes() for file in manifest.files}
            assert len(found) == 1
            met.add(manifest.version)

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(look) for _ in range(4)]
        for number in count(1):
            if all(future.done() for future in done):
                break
            committed(target, number, keep=2)
        for future in done:
            future.result()
    assert len(met) > 3


def test_a_slow_reader_keeps_what_it_has_opened(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for stamp in range(1, 5):
        export(target, tmp_path / "w.ndjson", [job("ft-1", stamp)], keep=2)
        if stamp == 1:
            slow = ftetl.open(target)
    # What was committed within the last day stays, whatever `keep` says.
    assert slow.jobs.suffix.tolist() == slow.events.message.tolist() == ["1"]


# ---- writers at once -------------------------------------------------------------------------------------------------


def attempt(target: Path, name: str, timeout: float) -> int:
    """One run of the program, in a process of its own; gives its exit code."""
    try:
        report = export(target, target.parent / f"{name}.ndjson", [job(name, 1)], lock_timeout=timeout)
    except FtetlError as error:
        print(error, file=sys.stderr)
        return error.exit.code
    return report.exit_code


def serve() -> None:
    """Fork a process for every line of a request, each to be killed so many milliseconds later, 0 for never."""

    for line in sys.stdin:
        request = json.loads(line)
        children: dict[int, tuple[str, float]] = {}
        for name, patience, kill in request["runs"]:
            child = os.fork()
            if not child:
                os._exit(attempt(Path(request["target"]), name, patience))
            children[child] = (name, time.monotonic() + kill / 1000 if kill else 0.0)
        ended: dict[str, int] = {}
        while children:
            for child, (name, end) in list(children.items()):
                if end and time.monotonic() > end:
                    os.kill(child, signal.SIGKILL)
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    del children[child]
                    ended[name] = os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        print(json.dumps(ended), flush=True)


@contextmanager
def fork_server() -> Iterator[Callable[..., dict[str, int]]]:
    environment = {"PYTHONPATH": str(Path(ftetl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, __file__], env=environment, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(target: Path, runs: list[tuple[str, float, int]]) -> dict[str, int]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps({"target": str(target), "runs": runs}), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            assert answer, "the fork server died"
            return dict(json.loads(answer))

        yield ask
        process.stdin.close()


def six_writers(target: Path, rounds: int, seed: int) -> dict[str, int]:
    """Six at once, round after round, of which one in ten is killed; gives how each ended."""
    rng = random.Random(seed)
    ended: dict[str, int] = {}
    with fork_server() as ask:
        for number in range(rounds):
            kills = [rng.randrange(1, 400) if rng.random() < 0.1 else 0 for _ in range(6)]
            if number == 0:
                kills[0] = 150  # whatever the dice say
            # Half of them wait for their turn, half do not.
            runs = [(f"ft-{number}-{w}", 60.0 if w % 2 else 0.0, kill) for w, kill in enumerate(kills)]
            ended |= ask(target, runs)
    return ended


@pytest.mark.parametrize(
    "rounds", [2, pytest.param(100, marks=pytest.mark.slow), pytest.param(1_000, marks=pytest.mark.slow)]
)
def test_of_six_writers_at_once_each_is_on_top_of_another_or_tries_later(rounds: int, tmp_path: Path) -> None:
    """The two rounds of the default run have writers that wait, that do not, and one that is killed."""
    target = tmp_path / "target"

    ended = six_writers(target, rounds, seed=rounds)

    codes = list(ended.values())
    print({code: codes.count(code) for code in sorted({*codes})})
    assert len(codes) == 6 * rounds
    assert {*codes} <= {OK, TRY_LATER, -signal.SIGKILL}
    assert codes.count(OK) >= 2 * rounds
    with Target(target):  # what a killed one left is put away
        pass
    versions = list_versions(target)
    kept = [load_manifest(target, version) for version in versions]
    # Each version is made from the one before; those of killed runs are whole as well, if they are there.
    assert [m.base for m in kept[1:]] == versions[:-1] == list(range(versions[0], versions[-1]))
    assert codes.count(OK) <= versions[-1] <= codes.count(OK) + codes.count(-signal.SIGKILL)
    assert [find_damage(target, m) for m in (kept[0], kept[-1])] == [[], []]
    rows = set(ftetl.open(target).arrow("jobs").column("job_id").to_pylist())
    assert {name for name, code in ended.items() if code == OK} <= rows
    assert rows <= {name for name, code in ended.items() if code != TRY_LATER}
    assert not [p for p in target.rglob(".*") if p.name.startswith(".tmp-")]


# ---- what the catalogue has besides ----------------------------------------------------------------------------------


def test_a_run_that_slept_before_its_commit_does_not_undo_what_came_meanwhile(tmp_path: Path) -> None:
    """Its lock gone meanwhile, as when its host was taken for dead: what it has is older, and is not committed."""
    target = tmp_path / "target"
    export(target, tmp_path / "w.ndjson", [job("ft-1", 1)])

    class Sleeping(Fs):
        slept = False

        def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
            if folder.path.name == "snapshots" and not self.slept:
                self.slept = True
                (target / "_ftetl" / LOCK_FILE).unlink()
                committed(target, 2)
            super().rename(folder, name, to, new)

    with pytest.raises((TryLaterError, StorageError)):
        committed(target, 1, Sleeping())

    found = newest_manifest(target)
    assert found is not None
    assert (found.version, find_damage(target, found)) == (2, [])
    assert (snapshot_folder(target, found) / "a").read_bytes() == b"2"


STOPPED = """
import os, signal, sys
from pathlib import Path
import ftetl
from ftetl.store import transaction
place_snapshot = transaction.place_snapshot
def stopped(*given, **named):
    print("about to commit", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return place_snapshot(*given, **named)
transaction.place_snapshot = stopped
try:
    ftetl.export(sys.argv[1], source=sys.argv[2], observed_at="2026-07-03T00:00:00Z")
except ftetl.errors.FtetlError as error:
    sys.exit(error.exit.code)
"""


@pytest.mark.parametrize("taken_for_dead", [False, True])
def test_a_process_stopped_before_its_commit_neither_loses_nor_overwrites(taken_for_dead: bool, tmp_path: Path) -> None:
    target, source = tmp_path / "target", tmp_path / "stopped.ndjson"
    export(target, tmp_path / "w.ndjson", [job("ft-1", 1)])
    source.write_text(json.dumps(job("ft-1", 2)))
    environment = {"PYTHONPATH": str(Path(ftetl.__file__).parents[1])}
    with (
        subprocess.Popen([sys.executable, "-c", STOPPED, target, source], env=environment, stdout=-1) as zombie,
        ExitStack() as end,
    ):
        end.callback(zombie.kill)  # whatever happens: one that is stopped would be waited for for ever
        assert zombie.stdout is not None
        assert zombie.stdout.readline() == b"about to commit\n"
        # Only when it has stopped: a SIGCONT that came before would be lost, and it would stay stopped for ever.
        assert os.WIFSTOPPED(os.waitpid(zombie.pid, os.WUNTRACED)[1])
        if taken_for_dead:
            (target / "_ftetl" / LOCK_FILE).unlink()
            assert export(target, tmp_path / "w.ndjson", [job("ft-1", 3)]).version == 2
        else:
            with pytest.raises(TryLaterError):
                export(target, tmp_path / "w.ndjson", [job("ft-1", 3)])
        zombie.send_signal(signal.SIGCONT)
        assert zombie.wait() == (TRY_LATER if taken_for_dead else OK)

    assert read(target) == (3 if taken_for_dead else 2)
    assert [load_manifest(target, version).base for version in list_versions(target)] == [None, 1]


if __name__ == "__main__":
    serve()
