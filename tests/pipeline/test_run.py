"""One run: what is received is accounted for, and an error leaves the target as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftetl
from ftetl import demo
from ftetl.config.settings import Settings
from ftetl.errors import DataError, FtetlError, SoftwareError, StorageError, TryLaterError
from ftetl.loading.formats import parquet
from ftetl.pipeline import export as pipeline_export
from ftetl.pipeline.active_run import ActiveRun
from ftetl.pipeline.progress import Progress
from ftetl.run_report import Report
from ftetl.store.manifest import newest_manifest
from ftetl.store.target import Target
from ftetl.transform.decode import decoder
from ftetl.transform.flatten import tables as flatten_tables
from ftetl.validate import table_checks
from tests.demo.generator import generate_jobs

Job = dict[str, Any]
DAY = datetime(2026, 8, 1, tzinfo=UTC)
SECRET = "very-secret-value"
EARLY, LATE = "2026-07-02T08:10:14Z", "2026-07-03T08:10:14Z"


def job(number: int, **more: Any) -> Job:
    return {"id": f"ft-{number:02}", "status": "completed", "created_at": EARLY, "updated_at": EARLY} | more


def export(target: Path, jobs: Any, **more: Any) -> Report:
    """Export these jobs as a saved list."""
    path = target.parent / f"{target.name}.json"
    path.write_text(json.dumps({"data": jobs}))
    return ftetl.export(target, source=path, **{"observed_at": DAY} | more)


def state(target: Path) -> dict[str, bytes | str]:
    """All that readers and the next run go by."""
    control = target / "_ftetl" / "manifests"
    found: dict[str, bytes | str] = {p.name: p.read_bytes() for p in control.iterdir()}
    for path in (target / "snapshots").iterdir():
        found |= {f"{path.name}/{p.name}": p.read_bytes() for p in path.iterdir()}
    return found | {"current": str((target / "current").readlink())}


# Elements of an answer, and how many there are.
ELEMENTS = [
    job(1),
    job(1),
    job(1, updated_at=LATE),
    job(1, token_count=4),
    job(2, n_evals="x"),
    job(2, updated_at=LATE, events=[{"type": "JOB_START"}]),
    job(3, new=1),
    {"id": "a/b"},
    {"no": "id"},
    7,
    None,
    "text",
    b'{"id":"ft-04","a":1,"a":2}',
    b'{"id":"ft-04","b":NaN}',
    b'{"id":"ft-04","b":"\\ud800"}',
    b'{"id":"ft-05","b":"\xff"}',
    b'{"id":"ft-01","updated_at":"2026-07-04T00:00:00Z","b":1e400}',
]


def raw(element: Any) -> bytes:
    return element if isinstance(element, bytes) else json.dumps(element).encode()


@settings(max_examples=settings.default.max_examples // 4)
@given(
    answers=st.lists(
        st.tuples(
            st.sampled_from(["list", "array", "lines", "detail"]), st.lists(st.sampled_from(ELEMENTS), max_size=6)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_everything_that_is_received_is_accounted_for(
    answers: list[tuple[str, list[Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("answers")
    received = 0
    for number, (shape, elements) in enumerate(answers):
        texts = [raw(e) for e in elements]
        match shape:
            case "list":
                (folder / f"{number}.json").write_bytes(b'{"data":[' + b",".join(texts) + b"]}")
            case "array":
                (folder / f"{number}.json").write_bytes(b"[" + b",".join(texts) + b"]")
            case "lines":
                texts = [raw(job(9)), *texts]
                (folder / f"{number}.ndjson").write_bytes(b"\n".join(texts))
            case _:
                texts = [raw(job(8, n_epochs=len(elements)))]
                (folder / f"{number}.json").write_bytes(texts[0])
        received += len(texts)
    target = tmp_path_factory.mktemp("target")
    report = ftetl.export(target / "t", source=folder, observed_at=DAY)
    assert report.received == received
    snapshot = ftetl.open(target / "t")
    # Nothing received is lost: each element is put aside exactly, or its job has a row.
    aside = {row["raw"] for row in snapshot.arrow("quarantine").to_pylist()}
    rows = set(snapshot.arrow("jobs")["job_id"].to_pylist())
    for _, elements in answers:
        for element in elements if "detail" not in _ else []:
            text = raw(element).decode("utf-8", "replace")
            own = element.get("id") if isinstance(element, dict) else None
            assert text in aside or own in rows or isinstance(element, bytes)


def test_a_loss_of_elements_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = decoder.decode

    def lossy(items: Any, answers: Any) -> decoder.Decoded:
        return real(items[1:], answers)

    export(tmp_path / "t", [job(1)])
    before = state(tmp_path / "t")
    monkeypatch.setattr(decoder, "decode", lossy)
    with pytest.raises(SoftwareError, match="of 3 elements received, 2 are accounted for"):
        export(tmp_path / "t", [job(1), job(2), job(3)])
    assert state(tmp_path / "t") == before


# What a service may answer to the list that no run can go on with.
REFUSED = {
    "an error": (b'{"error":{"message":"x"},"wandb_key":"%s"}', DataError),
    "no data": (b'{"items":[{"wandb_key":"%s"}]}', DataError),
    "a page": (b'{"data":[{"id":"ft-01","wandb_key": "%s"}],"has_more":true}', DataError),
    "an end in the middle": (b'{"data":[{"id":"ft-01","hf_api_token":"%s"},{"id":', DataError),
    "data twice": (b'{"data":[{"hf_api_token":"%s"}],"data":[]}', DataError),
    "too few jobs": (b'{"data":[{"id":"ft-99","wandb_key":"%s"}]}', DataError),
}


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_answer_of_the_network_is_kept_without_its_secrets(tmp_path: Path, case: str) -> None:
    body, kind = REFUSED[case]
    export(tmp_path / "t", [job(n) for n in range(12)])
    before = state(tmp_path / "t")
    with demo.serve(jobs=[]) as server:
        server.response = lambda path, key: (200, body % SECRET.encode())  # type: ignore[method-assign]
        with pytest.raises(kind) as caught:
            ftetl.export(tmp_path / "t", base_url=server.url, environ={"TOGETHER_API_KEY": server.key})
    assert SECRET not in str(caught.value)
    assert state(tmp_path / "t") == before
    kept = list((tmp_path / "t" / "_ftetl" / "failed").glob("*/answer.json"))
    if case != "an error":  # which the client does not hand on
        assert [path.read_bytes() for path in kept] == [body % b"***"]
        assert kept[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["a file", "a folder"])
def test_a_refused_file_stays_with_its_owner(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "answers" / "answer.json"
    path.parent.mkdir()
    path.write_bytes(b'{"items":[]}')
    with pytest.raises(DataError):
        ftetl.export(tmp_path / "t", source=path if kind == "a file" else path.parent)
    assert list((tmp_path / "t" / "_ftetl" / "failed").iterdir()) == []


def bad(name: str, values: Callable[[pa.Table], Any]) -> Callable[[flatten_tables.Flat], flatten_tables.Flat]:
    def change(flat: flatten_tables.Flat) -> flatten_tables.Flat:
        flat.jobs = flat.jobs.set_column(flat.jobs.schema.get_field_index(name), name, values(flat.jobs))
        return flat

    return change


def twice(flat: flatten_tables.Flat) -> flatten_tables.Flat:
    flat.events = pa.concat_tables([flat.events, flat.events])
    flat.parents = pa.concat_arrays([flat.parents, flat.parents])
    return flat


def without(flat: flatten_tables.Flat) -> flatten_tables.Flat:
    flat.jobs = flat.jobs.drop_columns(["status"])
    return flat


def raising(flat: flatten_tables.Flat) -> flatten_tables.Flat:
    raise KeyError(SECRET)


SABOTAGES: dict[str, Callable[[flatten_tables.Flat], flatten_tables.Flat]] = {
    "NaN": bad("learning_rate", lambda t: pa.array([float("nan")] * t.num_rows)),
    "below the minimum": bad("token_count", lambda t: pa.array([-987654321] * t.num_rows)),
    "another type": bad("token_count", lambda t: pa.array([SECRET] * t.num_rows)),
    "another width": bad("token_count", lambda t: pa.array([1] * t.num_rows, pa.int32())),
    "another unit": bad("created_at", lambda t: t["created_at"].cast(pa.timestamp("ms", "UTC"))),
    "a null id": bad("job_id", lambda t: pa.nulls(t.num_rows, pa.string())),
    "an odd id": bad("job_id", lambda t: pa.array([SECRET + " !"] * t.num_rows)),
    "ids in another order": bad("job_id", lambda t: t["job_id"].take(pa.array(range(t.num_rows)[::-1]))),
    "events twice": twice,
    "a missing column": without,
    "an error that nobody expects": raising,
}


@pytest.mark.parametrize("many", [1_000, -1], ids=["one thread", "two threads"])
@pytest.mark.parametrize("case", SABOTAGES)
def test_an_internal_error_in_the_rows_is_stopped_by_the_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, many: int
) -> None:
    monkeypatch.setattr("ftetl.loading.table_writers._MANY", many)
    jobs = [job(n, model=SECRET, events=[{"message": SECRET}]) for n in range(1, 4)]
    export(tmp_path / "t", jobs)
    before = state(tmp_path / "t")
    real = flatten_tables.flatten
    monkeypatch.setattr(flatten_tables, "flatten", lambda *args, **options: SABOTAGES[case](real(*args, **options)))
    with pytest.raises(SoftwareError) as caught:
        export(tmp_path / "t", [*jobs, job(4)])
    assert caught.value.exit.code == 70
    assert SECRET not in str(caught.value)
    assert "987654321" not in str(caught.value)
    assert state(tmp_path / "t") == before
    monkeypatch.undo()
    assert export(tmp_path / "t", [*jobs, job(4)]).version == 2


def test_what_the_disk_lost_is_noticed_at_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tmp_path / "t", [job(1)])
    before = state(tmp_path / "t")
    real = table_checks.check_table

    def spoiled(stored: Any, table: Any, written: int) -> None:
        path = stored.folder / f"{table.name}.parquet"
        if table.name == "jobs":
            data = bytearray(path.read_bytes())
            data[200] ^= 1
            path.write_bytes(data)
        real(stored, table, written)

    monkeypatch.setattr(table_checks, "check_table", spoiled)
    with pytest.raises(StorageError):
        export(tmp_path / "t", [job(1), job(2)])
    assert state(tmp_path / "t") == before


@pytest.mark.parametrize("table", ["jobs", "events", "job_history", "quarantine", "anomalies"])
def test_a_stored_table_that_is_missing_or_damaged_stops_the_next_run(tmp_path: Path, table: str) -> None:
    export(tmp_path / "t", [job(1, n_evals="x", events=[{"type": "JOB_START"}]), 7])
    path = tmp_path / "t" / "current" / f"{table}.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StorageError, match=rf"is damaged and cannot be updated: .*{table}\.parquet: has "):
        export(tmp_path / "t", [job(1), job(2)])
    path.unlink()
    with pytest.raises(StorageError, match=rf"is damaged and cannot be updated: .*{table}\.parquet: missing"):
        export(tmp_path / "t", [job(1), job(2)])
    path.write_bytes(data)
    assert export(tmp_path / "t", [job(1), job(2)]).rows["quarantine"] == 1


def test_a_locked_target_is_left_alone(tmp_path: Path) -> None:
    export(tmp_path / "t", [job(1)])
    before = state(tmp_path / "t")
    with Target(tmp_path / "t"), pytest.raises(TryLaterError):
        export(tmp_path / "t", [job(2)])
    assert state(tmp_path / "t") == before


def test_a_run_leaves_nothing_of_its_work_behind(tmp_path: Path) -> None:
    def leftovers() -> list[str]:
        return sorted(p.name for p in (tmp_path / "t").rglob(".tmp-*"))

    export(tmp_path / "t", [job(1)])
    assert leftovers() == []
    with pytest.raises(DataError):
        export(tmp_path / "t", [job(1), 7], quarantine="fail")
    assert leftovers() == []


def test_the_record_of_a_run_is_its_report(tmp_path: Path) -> None:
    jobs = [job(1, new=1, training_type={"type": "Lora", "x": {}}), job(2, new=2, events=[{"seq": 1}]), 7]
    report = export(tmp_path / "t", jobs)
    path = tmp_path / "t" / "_ftetl" / "runs" / f"{report.run_id}.json"
    record = json.loads(path.read_text())
    assert record == json.loads(json.dumps(report.as_dict()))
    assert record["drift"]["unknown"] == {"events.seq": 1, "new": 2, "training_type.x": 1}
    assert "status" not in record["drift"]["unseen"]
    assert "learning_rate" in record["drift"]["unseen"]
    assert len(set(record["drift"]["unseen"])) == len(record["drift"]["unseen"])
    assert (record["requests"], record["bytes_read"]) == (0, (tmp_path / "t.json").stat().st_size)
    assert (record["exit"], record["exit_code"], record["committed"]) == ("PARTIAL", 3, True)
    again = export(tmp_path / "t", jobs)
    assert not again.changed
    assert len(list(path.parent.iterdir())) == 2


def test_a_report_counts_what_is_in_the_tables(tmp_path: Path) -> None:
    report = export(tmp_path / "t", [job(1, n_evals="x"), job(2, n_epochs=True, events=[{}, {}]), 7, 8])
    snapshot = ftetl.open(tmp_path / "t")
    assert report.rows == {name: snapshot.arrow(name).num_rows for name in snapshot.tables}
    assert (report.received, report.new, report.quarantined) == (4, 2, 2)
    assert report.anomalies == {"wrong_type": 2}
    assert report.files == {p.name: p.stat().st_size for p in (tmp_path / "t" / "current").iterdir()}
    assert (report.version, report.changed, report.partial) == (1, True, True)
    assert report.warnings == ()


def test_a_demo_run_counts_its_requests(tmp_path: Path) -> None:
    with demo.serve(jobs=[job(1, events=[{"type": "JOB_START"}]), job(2, events=[])]) as server:
        report = ftetl.export(tmp_path / "t", base_url=server.url, environ={"TOGETHER_API_KEY": server.key})
        assert report.requests == len(server.requests) == 6
        paths = [path for _, path in server.requests]
        assert paths[:3] == ["/v3/whoami", "/v1/whoami", "/v1/fine-tunes"]
        assert sorted(paths[3:]) == ["/v1/files", "/v1/fine-tunes/ft-01", "/v1/fine-tunes/ft-02"]


class Steps:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.bytes_received = 0

    def received(self, total: int) -> None:
        self.bytes_received = max(total, self.bytes_received)

    def details(self, done: int, total: int) -> None:
        self.told.append(("details", done, total))

    def jobs(self, done: int, total: int) -> None:
        self.told.append(("jobs", done, total))


def test_progress_is_reported_as_the_work_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "BATCH_BYTES", 1)
    steps = Steps()
    with demo.serve(jobs=[job(n, events=[{}]) for n in range(3)]) as server:
        given = {"base_url": server.url, "environ": {"TOGETHER_API_KEY": server.key}}
        settings = Settings.from_options(tmp_path / "t", "api", given)
        report = pipeline_export.run_export(ActiveRun(settings, steps))
    assert steps.told[:3] == [("details", n, 3) for n in (1, 2, 3)]
    assert steps.told[3:] == [("jobs", n, 3) for n in (1, 2, 3)]
    assert 0 < steps.bytes_received <= report.bytes_read  # on the wire they may be compressed


def shards(jobs: list[Job], folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.json").write_text(json.dumps(jobs[number::count]))
    return folder


@pytest.fixture(scope="module")
def invented() -> list[Job]:
    return [*generate_jobs(seed=5, count=25), {"id": "a/b"}, {"id": "ft-odd", "n_evals": "x", "events": [{"type": 7}]}]


def exported(target: Path, source: Path) -> dict[str, bytes]:
    ftetl.export(target, source=source, observed_at=DAY, formats=("csv",))
    return {path.name: path.read_bytes() for path in (target / "current").iterdir()}


def test_the_order_and_the_sharding_of_an_answer_do_not_matter(tmp_path: Path, invented: list[Job]) -> None:
    (tmp_path / "list.json").write_text(json.dumps(invented))
    (tmp_path / "other.json").write_text(json.dumps({"data": invented[::-1]}, indent=1))
    (tmp_path / "lines.ndjson").write_text("".join(json.dumps(j) + "\n" for j in invented[::2] + invented[1::2]))
    tables = exported(tmp_path / "t", tmp_path / "list.json")
    others = [tmp_path / "other.json", tmp_path / "lines.ndjson", shards(invented, tmp_path / "shards", 7)]
    for number, source in enumerate(others):
        found = exported(tmp_path / str(number), source)
        differing = {name for name in tables if found[name] != tables[name]}
        # Where an element came from is all that differs.
        assert differing <= {"quarantine.csv", "quarantine.parquet"}


@pytest.mark.parametrize(("size", "window"), [(1, 1 << 23), (3000, 64)])
def test_the_size_of_a_batch_does_not_matter(
    tmp_path: Path, invented: list[Job], monkeypatch: pytest.MonkeyPatch, size: int, window: int
) -> None:
    source = tmp_path / "list.json"
    source.write_text(json.dumps(invented[::-1]))
    tables = exported(tmp_path / "t", source)
    monkeypatch.setattr(decoder, "BATCH_BYTES", size)
    monkeypatch.setattr("ftetl.raw.index.WINDOW", window)
    assert exported(tmp_path / "other", source) == tables


def test_stored_row_groups_of_any_size_give_the_same_rows(
    tmp_path: Path, invented: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = tmp_path / "whole.json", tmp_path / "part.json"
    whole.write_text(json.dumps(invented))
    part.write_text(json.dumps(invented[::3]))
    usual = exported(tmp_path / "usual", whole)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 20)
    monkeypatch.setattr(decoder, "BATCH_BYTES", 5000)
    exported(tmp_path / "t", part)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 30)
    ftetl.export(tmp_path / "t", source=whole, observed_at=DAY, formats=("csv",))
    found = {path.name: path.read_bytes() for path in (tmp_path / "t" / "current").iterdir()}
    assert {name: data for name, data in found.items() if name.endswith("csv") and name != "quarantine.csv"} == {
        name: data for name, data in usual.items() if name.endswith("csv") and name != "quarantine.csv"
    }


def test_the_gate_reads_what_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = parquet.writer

    def other_order(sink: Any, schema: pa.Schema, **more: Any) -> Any:
        inner = real(sink, pa.schema(list(schema)[::-1]), **more)
        write = inner.write
        inner.write = lambda table: write(table.select(table.column_names[::-1]))
        return inner

    monkeypatch.setattr(parquet, "writer", other_order)
    with pytest.raises(SoftwareError, match=r"\(schema\)"):
        export(tmp_path / "t", [])
    assert newest_manifest(tmp_path / "t") is None


def test_a_record_that_cannot_be_written_costs_no_committed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("S01", "the disk is full")

    monkeypatch.setattr(Target, "write_run_record", full)
    assert export(tmp_path / "t", [job(1)]).exit_code == 0
    assert newest_manifest(tmp_path / "t") is not None


def test_every_error_of_a_run_is_one_of_ours(tmp_path: Path) -> None:
    page = tmp_path / "page.json"
    page.write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"page.json is a web page"):
        ftetl.export(tmp_path / "t", source=page)
    page.write_bytes(b'{"data":[' + b"[" * 5000)
    with pytest.raises(FtetlError):
        ftetl.export(tmp_path / "t", source=page)
    assert Progress().jobs(1, 1) is None
    assert newest_manifest(tmp_path / "t") is None


def test_evidence_that_cannot_be_kept_does_not_hide_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StorageError("S01", "the disk is full")

    monkeypatch.setattr(Target, "keep_failed_response", full)
    with demo.serve(jobs=[]) as server:
        server.response = lambda path, key: (200, b'{"items":[]}')  # type: ignore[method-assign]
        with pytest.raises(DataError, match="no `data`"):
            ftetl.export(tmp_path / "t", base_url=server.url, environ={"TOGETHER_API_KEY": server.key})


def test_the_time_zone_of_the_machine_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(1, created_at="2026-07-02T08:10:14", started_at="2026-07-02T08:10:14+05:45")]
    usual = export(tmp_path / "t", jobs, formats=("csv",))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        other = export(tmp_path / "u", jobs, formats=("csv",))
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert usual.rows == other.rows
    for path in (tmp_path / "t" / "current").iterdir():
        assert path.read_bytes() == (tmp_path / "u" / "current" / path.name).read_bytes()


def test_a_target_whose_manifests_are_all_damaged_is_not_begun_anew(tmp_path: Path) -> None:
    source = tmp_path / "list.json"
    source.write_text('{"data":[{"id":"ft-1"}]}')
    target = tmp_path / "target"
    ftetl.export(target, source=source)
    (manifest,) = (target / "_ftetl" / "manifests").iterdir()
    manifest.write_bytes(manifest.read_bytes()[:-2])

    with pytest.raises(StorageError, match="has manifests, but no snapshot that can be read"):
        ftetl.export(target, source=source)

    assert [path.name for path in (target / "snapshots").iterdir()] == [(target / "current").readlink().name]


@pytest.mark.parametrize(
    ("element", "missing"),
    [
        ('{"id":"ft-2","id":"ft-3"}', {"ft-4"}),
        ('{"id":"ft-1","id":"ft-3"}', {"ft-2", "ft-4"}),  # beside a good copy of the one
        ('{"id":"ft-3","id":"ft-1"}', {"ft-2", "ft-4"}),
        ('{"id":"ft-2","x":oops}', {"ft-3", "ft-4"}),
        ('{"id":"ft-9","id":"ft-9","x":1,"x":2}', {"ft-2", "ft-3", "ft-4"}),
        ('{"id":5}', set()),
        ("7", set()),
    ],
)
def test_a_quarantined_element_keeps_the_jobs_present_that_it_could_be(
    tmp_path: Path, element: str, missing: set[str]
) -> None:
    file = tmp_path / "answer.json"
    for day, text in enumerate((",".join(f'{{"id":"ft-{n}"}}' for n in range(1, 5)), f'{{"id":"ft-1"}},{element}'), 1):
        file.write_text(f'{{"data":[{text}]}}')
        ftetl.export(tmp_path / "t", source=file, observed_at=datetime(2026, 8, day, tzinfo=UTC))

    jobs = ftetl.open(tmp_path / "t").arrow("jobs").to_pylist()
    assert {row["job_id"] for row in jobs if not row["present"]} == missing
