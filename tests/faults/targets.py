"""The targets that the sweep starts from, what a run makes of them, and what must be true whatever befell it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ftetl.errors import EXITS
from ftetl.store import manifest as manifests
from ftetl.validate.verify import verify_snapshot
from tests.faults.runs import Ended, Injected, Runs

LONG_AGO = "2020-01-01T00:00:00.000000Z"
CODES = {exit_.code: exit_ for exit_ in EXITS.values()}
COMMITTED = {exit_.code for exit_ in EXITS.values() if exit_.committed}

Tables = dict[str, bytes]


def _job(number: int, day: int, **more: Any) -> dict[str, Any]:
    at = f"2026-07-{day:02d}T00:00:00Z"
    events = [{"type": "JOB_PENDING", "created_at": at}, {"type": "JOB_COMPLETE", "created_at": at, "message": "ok"}]
    job = {"id": f"ft-{number}", "status": "completed", "created_at": at, "updated_at": at, "events": events}
    return {**job, "model": "a/b", "total_price": 1_000_000_000, **more}


# Jobs with events, anomalies and quarantine; the second answer changes, adds and leaves out one, with more quarantine.
FIRST = [_job(1, 1), _job(2, 1, n_epochs="three"), _job(3, 1), 42]
SECOND = [_job(1, 1), _job(2, 2, n_epochs=3), _job(4, 2, learning_rate="fast"), 42, "odd"]
STARTS = ("empty", "data", "leftovers")


@dataclass(frozen=True)
class Start:
    """A target before a run, how it is run, and its tables before and after a run that nothing disturbs."""

    name: str
    template: Path
    target: Path
    argv: tuple[object, ...]
    stdin: Path | None
    old: Tables | None
    new: Tables

    def fresh(self) -> None:
        """Put the target back to what it was."""
        shutil.rmtree(self.target, ignore_errors=True)
        if self.old is not None:
            shutil.copytree(self.template, self.target, symlinks=True)


def made(runs: Runs, folder: Path) -> Iterator[Start]:
    """The starts, one after another, each made when it is wanted."""
    answers = [_answer(folder, "first", FIRST), _answer(folder, "second", SECOND)]
    target = folder / "target"

    def argv(n: int, source: object = "-") -> tuple[object, ...]:
        at = ("--observed-at", f"2026-07-0{3 + n}T00:00:00Z")
        return ("export", target, "--from", source, "--format", "parquet", "--format", "csv", "--keep", "2", *at)

    def start(name: str, words: tuple[object, ...], stdin: Path | None) -> Start:
        template, old = folder / f"from-{name}", None
        if target.exists():
            old = tables(target)
            shutil.copytree(target, template, symlinks=True)
        undisturbed = runs.run(*words, stdin=stdin)
        assert undisturbed.status == EXITS["PARTIAL"].code, undisturbed.err
        new = tables(target)
        assert new is not None
        return Start(name, template, target, words, stdin, old, new)

    yield start("empty", argv(0, answers[0]), None)  # a saved file; the others archive what comes in
    shutil.rmtree(target)
    for n in range(2):
        assert runs.run(*argv(n), stdin=answers[0]).status in COMMITTED
    _age(target, 1)  # so that a version goes
    data = start("data", argv(2), answers[1])
    yield data
    data.fresh()
    for fault in (Injected("linkat", 1, "signal=SIGKILL"), Injected("fsync", 4, "signal=SIGKILL", AT_CLOSE)):
        _leave_behind(runs, data, fault)
    yield start("leftovers", argv(2), answers[1])


AT_CLOSE = "ftetl.loading.table_writers:TableWriters.close"


def _leave_behind(runs: Runs, data: Start, fault: Injected) -> None:
    """What a killed run leaves, beside what others left."""
    kept = data.target.with_name("kept")
    data.target.rename(kept)
    data.fresh()
    assert runs.run(*data.argv, stdin=data.stdin, fault=fault).status == -9
    for path in sorted(data.target.rglob("*")):  # a folder comes before what is in it
        to = kept / path.relative_to(data.target)
        if path.is_dir() and not path.is_symlink():
            to.mkdir(exist_ok=True)
        elif not to.is_symlink() and not to.exists():
            shutil.copy2(path, to, follow_symlinks=False)
    shutil.rmtree(data.target)
    kept.rename(data.target)
    assert temps(data.target)


def _answer(folder: Path, name: str, jobs: list[Any]) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"data": jobs}), "utf-8")
    return file


def _age(target: Path, version: int) -> None:
    """Make a version one that the next run does not keep."""
    old = replace(manifests.load_manifest(target, version), committed_at=LONG_AGO)
    (target / "_ftetl" / "manifests" / manifests.manifest_name(version)).write_bytes(manifests.encode_manifest(old))


def tables(target: Path) -> Tables | None:
    """The files of the newest snapshot."""
    found = manifests.newest_manifest(target)
    folder = manifests.snapshot_folder(target, found) if found else None
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder else None


def temps(target: Path) -> list[str]:
    """Temporary names of ours, wherever they are."""
    return sorted(str(path.relative_to(target)) for path in target.rglob(".tmp-*"))


def wrong(start: Start, ended: Ended, *, killed: bool = False) -> Iterator[str]:
    """What is not as it must be after a run that something befell."""
    found = tables(start.target) if start.target.exists() else None
    if found not in (start.old, start.new):
        yield "the tables are neither the old nor the new ones"
    if found is not None:
        yield from _unsound(start.target)
    if killed:
        return
    if ended.status not in CODES:
        yield f"exit {ended.status}"
    elif ended.heard and not re.match(rf"ftetl: {CODES[ended.status].name} \({ended.status}\)", ended.last):
        yield f"exit {ended.status}, but it said {ended.last!r}"
    if "Traceback" in ended.err:
        yield "a traceback"
    if (ended.status in COMMITTED) != (found == start.new):
        yield f"exit {ended.status}, but the tables are {'new' if found == start.new else 'old'}: {ended.last}"
    if ended.status in COMMITTED:
        yield from _torn(start.target)
    elif left := [name for name in temps(start.target) if "/snapshots/" in name and name.endswith(".json")]:
        yield f"left behind: {left}"


def wrong_afterwards(start: Start, again: Ended, *, was_new: bool) -> Iterator[str]:
    """What is not as it must be after the next run, which nothing disturbed."""
    expected = EXITS["OK" if was_new else "PARTIAL"].code
    if again.status != expected:
        yield f"the next run ended with {again.status}, not {expected}: {again.last}"
    if tables(start.target) != start.new:
        yield "the next run made other tables"
    yield from _unsound(start.target)
    yield from _torn(start.target)
    if left := temps(start.target):
        yield f"the next run left {left}"
    named = {manifests.load_manifest(start.target, v).run_id for v in manifests.list_versions(start.target)}
    if orphans := {path.name for path in (start.target / "snapshots").iterdir()} - named:
        yield f"the next run left {orphans} in snapshots"
    if (start.target / "current").resolve().name not in named:
        yield "`current` leads nowhere"


def _unsound(target: Path) -> Iterator[str]:
    verdict = verify_snapshot(target)
    yield from verdict.damage
    current = target / "current"
    known = {manifests.load_manifest(target, version).run_id for version in manifests.list_versions(target)}
    if current.is_symlink() and current.resolve().name not in known:
        yield "`current` leads to what no manifest names"


def _torn(target: Path) -> Iterator[str]:
    """Bodies of the archive that are not what their names say."""
    for path in (target / "_ftetl" / "archive").glob("*.zst"):
        try:
            with pa.CompressedInputStream(pa.BufferReader(path.read_bytes()), "zstd") as stream:
                body = stream.read()
        except OSError:
            body = b""
        if hashlib.sha256(body).hexdigest() + ".zst" != path.name:
            yield f"the archive's {path.name[:8]}… is torn"
