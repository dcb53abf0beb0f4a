"""A run whose inputs are those of the run before it ends as if all of them were read again, and reads none of them."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ftetl
from ftetl.clock import now
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError, StorageError
from ftetl.pipeline import same_inputs
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report
from tests.pipeline.test_run import EARLY, ELEMENTS, LATE, job, raw

Job = dict[str, Any]
DAY = datetime(2026, 8, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
OWN = ("target", "run_id", "started_at", "seconds")  # of each run


def save(path: Path, jobs: list[Any], at: datetime = DAY) -> Path:
    """These jobs as a saved list that was received at a time."""
    path.write_bytes(b'{"data":[' + b",".join(map(raw, jobs)) + b"]}")
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def facts(target: Path) -> Path:
    return target / "_ftetl" / "inputs.json"


def plain(report: Report) -> str:
    """A report as JSON text, in its order, without what each run has of its own."""
    return json.dumps({name: value for name, value in report.as_dict().items() if name not in OWN})


def tables(target: Path) -> dict[str, bytes]:
    """The files of the newest version."""
    return {path.name: path.read_bytes() for path in target.glob("current/*")}


def tree(target: Path) -> dict[str, Any]:
    """Every file, link and folder of a target by path but the stored facts: its mode and what is in it."""
    found: dict[str, Any] = {}
    records = []
    for path in sorted({*target.rglob("*")} - {facts(target)}):
        mode = path.lstat().st_mode
        if path.parent.name == "runs":
            records.append(json.loads(path.read_bytes()) | {"mode": mode})
        else:
            data = b"" if path.is_symlink() or path.is_dir() else path.read_bytes()
            found[path.relative_to(target).as_posix()] = mode, data
    records.sort(key=lambda record: str(record["started_at"]))
    return found | {"runs": [{k: v for k, v in record.items() if k not in OWN} for record in records]}


class Exports:
    """Runs of one target, and whether a run read the responses."""

    def __init__(self, target: Path, log: pytest.LogCaptureFixture) -> None:
        self.target, self._log = target, log
        log.set_level(logging.INFO, "ftetl")

    def __call__(self, source: Path, **options: Any) -> bool:
        """Whether the run read the responses; its report is `report`."""
        self._log.clear()
        self.report = ftetl.export(self.target, source=source, **options)
        return any(message.startswith("received ") for message in self._log.messages)

    def ends_the_same_either_way(self, source: Path, **options: Any) -> bool:
        """Whether the run read nothing, which must not make a difference to reading everything."""
        other = self.target.with_name("other")
        shutil.copytree(self.target, other, symlinks=True)
        facts(other).unlink(missing_ok=True)
        assert tree(self.target) == tree(other)
        before = Exports(other, self._log)
        assert before(source, **options)
        was_read = self(source, **options)
        assert plain(self.report) == plain(before.report)
        assert tables(self.target) == tables(other)
        assert self.report.changed or tree(self.target) == tree(other)
        shutil.rmtree(other)
        return not was_read


@pytest.fixture
def exports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Exports:
    return Exports(tmp_path / "target", caplog)


JOBS = [
    job(1, events=[{"type": "JOB_START", "created_at": EARLY}, {"type": "JOB_COMPLETE", "created_at": LATE}]),
    job(2, status="running", new_key=3),
    job(3, updated_at="2062-01-01T00:00:00Z"),
    job(4, n_evals="x", wandb_key="secret-of-wandb"),
    job(5, finished_at="2026-01-01T00:00:00Z", total_price=5, status="error", refund={"amount": 5}),
]
PLAIN = [*JOBS[:3], JOBS[4]]


class TestIsTaken:
    @pytest.mark.parametrize(
        "options",
        [
            *({}, {"formats": ["csv"], "csv_raw": True}, {"whole": True}, {"observed_at": DAY}),
            *({"pii": "drop"}, {"events": "none", "allow_drift": True}),
        ],
        ids=str,
    )
    def test_a_list_with_each_job_once_is_read_once(self, exports: Exports, tmp_path: Path, options: Job) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        assert exports(saved, **options)
        assert exports.ends_the_same_either_way(saved, **options)
        assert exports.ends_the_same_either_way(saved, **options)

    @pytest.mark.parametrize("elements", [JOBS, ELEMENTS], ids=["unreadable values", "copies and quarantine"])
    def test_any_other_once_it_has_changed_nothing(self, exports: Exports, tmp_path: Path, elements: list[Any]) -> None:
        saved = save(tmp_path / "list.json", elements)
        assert exports(saved)
        assert exports(saved)
        assert not exports.report.changed
        assert exports.ends_the_same_either_way(saved)

    def test_a_newer_list_too(self, exports: Exports, tmp_path: Path) -> None:
        first, second = save(tmp_path / "1.json", PLAIN), save(tmp_path / "2.json", PLAIN[1:], DAY + HOUR)
        assert exports(first)
        assert exports(second)
        assert exports(second)
        assert exports.ends_the_same_either_way(second)

    def test_a_folder_of_lists_and_jobs(self, exports: Exports, tmp_path: Path) -> None:
        folder = tmp_path / "saved"
        folder.mkdir()
        (folder / "notes.txt").write_text("is told of")
        save(folder / "1.json", PLAIN)
        save(folder / "2.json", [job(1, status="running"), job(9)], DAY - HOUR)
        (folder / "3.json").write_bytes(raw(job(2, events=[{"type": "JOB_START"}])))
        assert exports(folder)
        assert exports(folder)
        assert not exports.report.changed
        assert exports.ends_the_same_either_way(folder)
        assert any("notes.txt" in warning for warning in exports.report.warnings)

    def test_the_files_get_the_mode_of_the_run(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved)
        assert exports.ends_the_same_either_way(saved, file_mode=0o640)
        assert {p.stat().st_mode & 0o777 for p in (exports.target / "current").iterdir()} == {0o640}

    def test_it_is_published_and_measured(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved)
        assert not exports(saved, publish=tmp_path / "public", metrics_file=tmp_path / "metrics")
        assert exports.report.published
        assert (tmp_path / "public" / "jobs.parquet").exists()
        assert 'ftetl_rows{project="default",table="jobs"} 4' in (tmp_path / "metrics").read_text()

    def test_what_a_killed_run_left_is_removed(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved)
        left = exports.target / "_ftetl" / "archive" / "index" / f"{2:020}-20260801T000000Z-00000000.json"
        left.write_text("{}")
        assert exports.ends_the_same_either_way(saved)
        assert not left.exists()


@settings(max_examples=settings.default.max_examples // 12)
@given(
    lists=st.lists(st.lists(st.sampled_from([*JOBS, *ELEMENTS]), min_size=1, max_size=5), min_size=2, max_size=2),
    runs=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0, 0, 1]), st.sampled_from([{}, {}, {"whole": True}])),
        min_size=3,
        max_size=5,
    ),
)
@example(lists=[PLAIN, PLAIN[:2]], runs=[(0, 0, {}), (0, 0, {}), (1, 1, {}), (0, 0, {}), (1, 1, {}), (1, 1, {})])
@example(lists=[PLAIN, JOBS], runs=[(0, 0, {}), (1, 0, {}), (1, 0, {}), (1, 0, {}), (0, 1, {}), (1, 0, {}), (0, 1, {})])
def test_any_runs_end_as_if_all_had_been_read(
    lists: list[list[Any]], runs: list[tuple[int, int, Job]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The two examples go from "read" to "not read" and back; by default come five more, in the long profile many."""
    folder = tmp_path_factory.mktemp("runs")
    targets = folder / "remembers", folder / "reads"
    for number, hours, options in runs:
        saved = save(folder / f"{number}.json", lists[number])
        options = {"observed_at": DAY + hours * HOUR, "allow_shrink": True, "allow_account_change": True, **options}
        reports = []
        for target in targets:
            if target == targets[1]:
                facts(target).unlink(missing_ok=True)
            try:
                reports.append(plain(ftetl.export(target, source=saved, **options)))
            except ftetl.errors.FtetlError as error:
                reports.append(str(error).replace(str(target), "target"))
        assert reports[0] == reports[1]
        assert tables(targets[0]) == tables(targets[1])


Change = Callable[[Path, Exports], Job | None]


def another_byte_at_the_same_time(saved: Path, exports: Exports) -> None:
    before = saved.stat()
    saved.write_bytes(saved.read_bytes().replace(b'"running"', b'"pending"'))
    os.utime(saved, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert saved.stat().st_size == before.st_size


def another_time(saved: Path, exports: Exports) -> None:
    os.utime(saved, (DAY.timestamp(), DAY.timestamp() + 1))


def an_edited_document(saved: Path, exports: Exports) -> None:
    path = facts(exports.target)
    path.write_bytes(path.read_bytes().replace(b'\\"received\\": 4', b'\\"received\\": 5'))
    assert b'\\"received\\": 5' in path.read_bytes()


def a_document_cut_short(saved: Path, exports: Exports) -> None:
    facts(exports.target).write_bytes(facts(exports.target).read_bytes()[:-9])


def a_link_to_the_document(saved: Path, exports: Exports) -> None:
    path, real = facts(exports.target), saved.with_name("real")
    path.rename(real)
    path.symlink_to(real)


def a_document_of_another_version(saved: Path, exports: Exports) -> None:
    known = facts(exports.target).read_bytes()
    assert exports(save(saved.with_name("more.json"), [*PLAIN, job(7)], DAY - HOUR))
    assert exports.report.changed
    facts(exports.target).write_bytes(known)


def another_newest_list(saved: Path, exports: Exports) -> None:
    assert exports(save(saved.with_name("later.json"), PLAIN, DAY + HOUR))
    assert not exports.report.changed


CHANGES: list[Change] = [
    another_byte_at_the_same_time,
    another_time,
    an_edited_document,
    a_document_cut_short,
    a_link_to_the_document,
    a_document_of_another_version,
    another_newest_list,
]


class TestIsNotTaken:
    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
    def test_after(self, exports: Exports, tmp_path: Path, change: Change) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        assert exports(saved)
        assert not exports(saved)
        change(saved, exports)
        assert not exports.ends_the_same_either_way(saved)

    def test_a_changed_byte_is_in_the_tables(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved)
        another_byte_at_the_same_time(saved, exports)
        assert exports(saved)
        assert exports.report.changed
        assert "pending" in ftetl.open(exports.target).arrow("jobs")["status"].to_pylist()

    @pytest.mark.parametrize(
        "options",
        [{"events": "none"}, {"formats": ["csv"]}, {"billing_account": "org-1"}, {"whole": True}, {"csv_raw": True}],
        ids=str,
    )
    def test_with_another_option(self, exports: Exports, tmp_path: Path, options: Job) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved)
        assert not exports.ends_the_same_either_way(saved, **options)

    def test_without_the_format_that_was_written_before(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved, formats=["csv"])
        assert exports.ends_the_same_either_way(saved)  # the formats of the target
        assert not exports.ends_the_same_either_way(saved, formats=["parquet"])
        assert not (exports.target / "current" / "jobs.csv").exists()

    def test_with_one_file_more_or_less(self, exports: Exports, tmp_path: Path) -> None:
        folder = tmp_path / "saved"
        folder.mkdir()
        save(folder / "1.json", PLAIN)
        more = save(folder / "2.json", [job(8)])
        for _ in range(2):
            assert exports(folder)
        assert not exports(folder)
        more.rename(tmp_path / "2.json")
        assert not exports.ends_the_same_either_way(folder)
        save(folder / "3.json", [job(8)])
        assert not exports.ends_the_same_either_way(folder)

    def test_where_people_are_treated_in_another_way(self, exports: Exports, tmp_path: Path) -> None:
        saved, key, other = save(tmp_path / "list.json", PLAIN), tmp_path / "key", tmp_path / "other-key"
        key.write_bytes(b"k" * 64)
        other.write_bytes(b"o" * 64)
        assert exports(saved, pii="hash", pii_key_file=key)
        assert exports.ends_the_same_either_way(saved, pii="hash", pii_key_file=key)
        for options, code in (
            ({"pii": "hash", "pii_key_file": other}, "X25"),
            ({"pii": "drop"}, "X16"),
            ({"pii": "keep"}, "X16"),
        ):
            with pytest.raises(ConfigError) as caught:
                exports(saved, **options)
            assert caught.value.code == f"FTETL-{code}"

    def test_over_damaged_files(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved, formats=["csv"])
        table = exports.target / "current" / "jobs.csv"
        good = table.read_bytes()
        table.write_bytes(good.replace(b"completed", b"cancelled"))
        assert exports(saved)
        assert exports.report.changed
        assert (exports.target / "current" / "jobs.csv").read_bytes() == good
        table = exports.target / "current" / "jobs.parquet"
        table.write_bytes(table.read_bytes()[:-1] + b"?")
        with pytest.raises(StorageError, match="is damaged"):
            exports(saved)

    def test_from_stdin(self, exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
        for _ in range(3):
            stdin = io.TextIOWrapper(io.BytesIO(b'{"data":[' + raw(job(1)) + b"]}"))
            monkeypatch.setattr("sys.stdin", stdin)
            assert exports(Path("-"), observed_at=DAY)

    def test_while_something_lies_in_the_future(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        for _ in range(3):
            assert exports(saved, observed_at=now().replace(microsecond=0) + 3 * HOUR)
        assert not facts(exports.target).exists()
        assert any("in the future" in warning for warning in exports.report.warnings)

    def test_after_the_clock_was_set_back(
        self, exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved)
        past = DAY - HOUR
        for name, module in list(sys.modules.items()):
            if name.startswith("ftetl.") and hasattr(module, "now"):
                monkeypatch.setattr(module, "now", lambda: past)
        assert exports(saved)
        assert any("in the future" in warning for warning in exports.report.warnings)

    def test_after_a_partial_run(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", [*PLAIN, {"no": "id"}])
        exports(saved)
        assert exports.report.partial
        assert not facts(exports.target).exists()
        assert exports(saved)
        assert exports.ends_the_same_either_way(saved)

    def test_after_files_were_left_out(self, exports: Exports, tmp_path: Path) -> None:
        folder = tmp_path / "saved"
        folder.mkdir()
        save(folder / "1.json", PLAIN)
        (folder / "2.json").write_text("{")
        for _ in range(3):
            assert exports(folder, skip_broken=True)
            assert exports.report.partial

    def test_after_a_rebuild_that_made_a_version(self, exports: Exports, tmp_path: Path) -> None:
        saved = save(tmp_path / "list.json", PLAIN)
        exports(saved, formats=["csv"])
        known = facts(exports.target).read_bytes()
        (exports.target / "current" / "jobs.csv").write_bytes(b"damaged")
        rebuild(exports.target)
        assert facts(exports.target).read_bytes() == known
        assert exports(saved)


OTHERS: dict[str, Any] = {
    "observed_at": DAY,
    "quarantine": "ok",
    "events": "none",
    "files": "none",
    "billing": "auto",
    "metrics": "auto",
    "pii": "drop",
}


class TestKey:
    base = Settings(Path("t"))

    def key(self, settings: Settings = base, privacy: Any = (), files: Any = ()) -> str:
        key = same_inputs.inputs_key(settings, dict(privacy), files)
        assert key is not None
        return key

    @pytest.mark.parametrize("name", sorted({f.name for f in fields(Settings)} - same_inputs._WITHOUT_EFFECT))
    def test_every_setting_counts_that_has_an_effect(self, name: str) -> None:
        before = getattr(self.base, name)
        other = not before if isinstance(before, bool) else before + 1 if isinstance(before, int) else "other"
        other = OTHERS.get(name, other)
        assert self.key() != self.key(replace(self.base, **{name: other}))

    def test_the_formats_count_in_any_order_and_the_reference_always(self) -> None:
        assert self.key() == self.key(replace(self.base, formats=("parquet",)))
        assert self.key() != self.key(replace(self.base, formats=("csv",)))
        assert self.key(replace(self.base, formats=("csv",))) == self.key(
            replace(self.base, formats=("parquet", "csv"))
        )

    def test_the_key_of_the_pseudonyms_counts(self) -> None:
        assert (
            len({self.key(privacy=p) for p in ({}, {"pii": "hash", "pii_key": "a"}, {"pii": "hash", "pii_key": "b"})})
            == 3
        )

    def test_each_file_counts_with_its_path_bytes_and_time(self) -> None:
        file = ("a.json", "0" * 64, DAY)
        others = [
            [],
            [file],
            [file, file],
            [("b.json", *file[1:])],
            [(file[0], "1" * 64, DAY)],
            [(*file[:2], DAY + HOUR)],
        ]
        assert len({self.key(files=files) for files in others}) == len(others)


RUNS = """
import logging, sys, ftetl
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
for _ in range(int(sys.argv[3])):
    ftetl.export(sys.argv[1], source=sys.argv[2])
    print("ended")
"""


class Checkout:
    """A copy of the package and its contracts, whose files may be changed."""

    def __init__(self, folder: Path, root: Path) -> None:
        for name in ("ftetl", "schemas"):
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.folder = folder
        self.saved = save(folder / "list.json", PLAIN)

    def reads(self, runs: int, work: str = RUNS) -> list[bool]:
        """Of each of these runs, all in one new process, whether it read the responses."""
        time.sleep(0.2)  # what was changed a moment ago may have been changed after the package was loaded
        command = [sys.executable, "-c", work, "target", str(self.saved), str(runs)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True)
        *each, rest = done.stdout.split("ended\n")
        assert (len(each), rest) == (runs, "")
        return [any(line.startswith("received ") for line in said.splitlines()) for said in each]


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Checkout:
    return Checkout(tmp_path, root)


class TestOtherCode:
    def test_a_changed_line_or_contract_is_run(self, checkout: Checkout) -> None:
        assert checkout.reads(2) == [True, False]
        for path, text in (
            ("ftetl/transform/timestamps.py", "\n# changed\n"),
            ("schemas/jobs.toml", '\n[columns.new_key]\ntype = "integer"\ndescription = "New."\nfrom = "new_key"\n'),
            ("schemas/quarantine.toml", "\n# changed\n"),
        ):
            with (checkout.folder / path).open("a") as file:
                file.write(text)
            first, _, third = checkout.reads(3)  # where a contract makes another version, the second changes nothing
            assert (first, third) == (True, False), path
        assert checkout.reads(1) == [False]

    def test_code_that_was_replaced_meanwhile_is_not_taken_for_the_one_that_ran(self, checkout: Checkout) -> None:
        replaced = RUNS.replace("for _", "open('ftetl/transform/timestamps.py', 'a').write('#')\nfor _")
        assert checkout.reads(3, replaced) == [True, True, True]
        assert not facts(checkout.folder / "target").exists()
