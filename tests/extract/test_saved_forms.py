"""Every form in which people save responses gives all jobs, or an error that names what is wrong."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

import ftetl
from ftetl import demo
from ftetl.errors import DataError
from ftetl.pipeline.export import rebuild

ROOT = Path(__file__).parents[1]
CASES, SAMPLES = ROOT / "data" / "responses", ROOT / "data" / "samples"
DAY = "2026-10-01"
Job = dict[str, Any]


def job(number: int, **more: Any) -> Job:
    return {"id": f"ft-{number}", "status": "running", "updated_at": f"2026-07-{number + 1:02}T00:00:00Z"} | more


JOBS = [job(number) for number in range(6)]


def exported(folder: Path, source: Path, **settings: Any) -> list[str]:
    """The ids of the jobs; nothing may be in quarantine, and a rebuild must give the same."""
    report = ftetl.export(folder / "t", source=source, observed_at=DAY, **settings)
    assert (report.exit_code, report.quarantined) == (0, 0)
    before = ftetl.open(folder / "t").arrow("jobs")
    rebuild(folder / "t")
    assert ftetl.open(folder / "t").arrow("jobs").equals(before)
    return before.column("job_id").to_pylist()


def text(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def list_of(*jobs: Job) -> Job:
    return {"object": "list", "data": list(jobs)}


FORMS: dict[str, bytes] = {
    "lines": b"\n".join(text(j) for j in JOBS),
    "lines with blank ones": b"\n\r\n".join(text(j) for j in JOBS) + b"\n\n",
    "a list response a line": b"\n".join([text(list_of(*JOBS[:4])), text(list_of(*JOBS[2:]))]) + b"\n",
    "an array a line": b"\n".join([text(JOBS[:4]), text(JOBS[2:])]),
    "list responses and jobs": b"\n".join([text(JOBS[0]), text(list_of(*JOBS[1:5])), text(JOBS[5])]),
    "one list response": text(list_of(*JOBS)) + b"\n",
    "list responses without a break": text(list_of(*JOBS[:4])) + text(list_of(*JOBS[2:])),
    "arrays without a break": text(JOBS[:4]) + text(JOBS[2:]),
    "pretty list responses": text(list_of(*JOBS[:4]), 2) + b"\n" + text(list_of(*JOBS[2:]), 2),
    "pretty jobs": b"\n".join(text(j, 2) for j in JOBS),
    "jobs without a break": b"".join(text(j) for j in JOBS),
    "pretty list": text(list_of(*JOBS), 1),
    "brackets in texts": b"".join(text(j | {"suffix": '}{"]['}) for j in JOBS),
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("suffix", [".json", ".ndjson"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_all_jobs(tmp_path: Path, form: str, suffix: str, pack: str) -> None:
    if suffix == ".ndjson" and ("pretty" in form or "without a break" in form or "brackets" in form):
        pytest.skip("not lines, whatever the name says")
    source = tmp_path / f"saved{suffix}{pack}"
    source.write_bytes(PACK[pack](FORMS[form]))

    assert exported(tmp_path, source) == [j["id"] for j in JOBS]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_through_stdin(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FORMS[form])))

    assert exported(tmp_path, Path("-")) == [j["id"] for j in JOBS]


def test_lines_that_are_called_json(tmp_path: Path) -> None:
    assert len(exported(tmp_path, CASES / "C_lines_called_json.json")) == 5


def test_a_truncated_line_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    report = ftetl.export(tmp_path / "t", source=CASES / "C_lines_truncated_called_json.json", observed_at=DAY)

    (aside,) = ftetl.open(tmp_path / "t").arrow("quarantine").to_pylist()
    assert (report.exit_code, report.rows["jobs"]) == (3, 2)
    assert (aside["rule"], aside["position"], aside["raw"]) == ("broken_json", 2, '{"id":"c","sta')


CUT_FIRST_LINES = {
    "in a key": [b'{"id":"c","st'],
    "after a key": [b'{"id":"c","status":'],
    "after a comma": [b'{"id":"c",'],
    "in a list": [b'{"id":"c","events":[{"a":1}'],
    "two of them": [b'{"id":"c","st', b'{"id":"d","status":'],
}


@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".ndjson"])
@pytest.mark.parametrize("cut", CUT_FIRST_LINES)
def test_a_truncated_first_line_is_named_and_the_others_are_read(tmp_path: Path, cut: str, suffix: str) -> None:
    source = tmp_path / f"a{suffix}"
    body = b"\n".join([*CUT_FIRST_LINES[cut], *map(text, JOBS)])
    source.write_bytes(gzip.compress(body) if suffix.endswith(".gz") else body)

    report = ftetl.export(tmp_path / "t", source=source, observed_at=DAY)

    aside = ftetl.open(tmp_path / "t").arrow("quarantine").sort_by("position").to_pylist()
    assert (report.exit_code, report.rows["jobs"]) == (3, len(JOBS))
    assert [(row["rule"], row["raw"]) for row in aside] == [
        ("broken_json", line.decode()) for line in CUT_FIRST_LINES[cut]
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","sta',
        b'{"id":"a","status":"running"',
        b'{"id":"a",\n  "status": "running",\n  "events": [\n    {"a": 1},',
        b'[{"id":"a"},{"id":"b"',
        b'{"data": [\n{"id":"a"}\n',
    ],
)
@pytest.mark.parametrize("more", [b"", b"\n"])
def test_a_truncated_document_is_refused(tmp_path: Path, body: bytes, more: bytes) -> None:
    (tmp_path / "a.json").write_bytes(body + more)

    with pytest.raises(DataError, match=r"a.json ends in the middle") as caught:
        ftetl.export(tmp_path / "t", source=tmp_path / "a.json", observed_at=DAY)

    assert (caught.value.code, caught.value.exit.code) == ("FTETL-H19", 65)
    assert not (tmp_path / "t" / "current").exists()


@pytest.mark.parametrize("odd", [b'["x"]', b"[]", b"[1,2]", b"[[]]"])
def test_an_array_of_something_else_is_one_malformed_line_among_jobs(tmp_path: Path, odd: bytes) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\n".join([text(JOBS[0]), odd, b'{"id":"ft-9","x":', text(JOBS[1])]))

    report = ftetl.export(tmp_path / "t", source=tmp_path / "a.ndjson", observed_at=DAY)

    aside = ftetl.open(tmp_path / "t").arrow("quarantine").to_pylist()
    assert (report.exit_code, report.rows["jobs"]) == (3, 2)
    assert sorted((row["position"], row["rule"]) for row in aside) == [(1, "not_an_object"), (2, "broken_json")]


def test_a_truncated_list_response_among_lines_is_named(tmp_path: Path) -> None:
    source = tmp_path / "all.json"
    source.write_bytes(text(list_of(*JOBS[:4])) + b"\n" + text(list_of(*JOBS[2:]))[:-30])

    with pytest.raises(DataError, match=r"all.json, line 2 ends in the middle.*--skip-broken"):
        ftetl.export(tmp_path / "t", source=source, observed_at=DAY)
    report = ftetl.export(tmp_path / "t", source=source, observed_at=DAY, skip_broken=True)
    before = ftetl.open(tmp_path / "t").arrow("jobs")
    rebuild(tmp_path / "t")

    assert (report.exit_code, report.rows["jobs"], report.partial) == (3, 4, True)
    assert report.skipped == ("all.json, line 2 ends in the middle of its list, after 3 elements",)
    assert ftetl.open(tmp_path / "t").arrow("jobs").equals(before)


BROKEN: dict[str, tuple[bytes, str]] = {
    "half a job": (text(JOBS[0])[:-9], "ends in the middle"),
    "nothing": (b"", "is empty"),
    "half a list": (text(list_of(*JOBS))[:-40], "ends in the middle of its list, after 5 elements"),
    "the beginning of a list": (b'{"da', "ends in the middle"),
    "a list without its end": (b'{"data":[]', "ends in the middle"),
    "a 502 page": (b"<html><head><title>502 Bad Gateway</title></head>", "is a web page (HTML)"),
    "plain text": (b"upstream connect error", "is not a JSON list or object"),
    "an error": (b'{"error":{"message":"overloaded"}}', "is an error message"),
    "other JSON": (b'{"name":"x"}', "has no `data`"),
    "jobs under their ids": (b'{"ft-1":{"id":"ft-1"},"ft-2":{"id":"ft-2"}}', "has no `data` (keys seen: ft-1, ft-2)"),
    "another vendor's": ((CASES / "C_other_vendor.json").read_bytes(), "looks like OpenAI's"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_in_a_folder_is_named_and_can_be_left_out(tmp_path: Path, name: str) -> None:
    body, what = BROKEN[name]
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "a.json").write_bytes(text(list_of(*JOBS[:4])))
    (folder / "b.json").write_bytes(body)
    (folder / "c.json").write_bytes(text(list_of(*JOBS[4:])))

    with pytest.raises(DataError) as caught:
        ftetl.export(tmp_path / "t", source=folder)
    assert caught.value.what.startswith("b.json " + what)
    assert caught.value.exit.code == 65
    assert "--skip-broken" in caught.value.next
    report = ftetl.export(tmp_path / "t", source=folder, skip_broken=True)

    assert (report.exit_code, report.rows["jobs"], report.vanished) == (3, 6, 0)
    assert [line.startswith("b.json " + what) for line in report.skipped] == [True]
    assert f"left out: {report.skipped[0]}" in report.warnings


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_damaged_file_in_a_folder_can_be_left_out(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "a.json").write_bytes(text(list_of(*JOBS)))
    (folder / f"b.json{suffix}").write_bytes(PACK[suffix](os.urandom(5000))[:-9])

    with pytest.raises(DataError, match=r"cut short or damaged.*--skip-broken"):
        ftetl.export(tmp_path / "t", source=folder)
    report = ftetl.export(tmp_path / "t", source=folder, skip_broken=True)

    assert (report.exit_code, len(report.skipped), report.rows["jobs"]) == (3, 1, 6)


def test_a_single_broken_file_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"data":[')
    with pytest.raises(DataError, match=r"a.json ends in the middle"):
        ftetl.export(tmp_path / "t", source=tmp_path / "a.json", skip_broken=True)


def test_a_folder_of_broken_files_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "a.json").write_bytes(b"")
    with pytest.raises(DataError, match=r"no response is left: a.json is empty") as caught:
        ftetl.export(tmp_path / "t", source=folder, skip_broken=True)
    assert caught.value.code == "FTETL-F11"


@pytest.fixture(scope="module")
def vendors_answers() -> Iterator[tuple[Any, Any, int]]:
    """The list and a detail as the vendor's SDK has them, and how many jobs there are."""
    together = pytest.importorskip("together")
    jobs = [json.loads((SAMPLES / "detail_completed_2026.json").read_bytes())]
    jobs += json.loads((SAMPLES / "list_2026.json").read_bytes())["data"]
    jobs = list({j["id"]: j for j in jobs}.values())
    with demo.serve(jobs) as server:
        client = together.Together(api_key=server.key, base_url=server.url.removesuffix("/v1"))
        yield client.fine_tuning.list(), client.fine_tuning.retrieve(jobs[0]["id"]), len(jobs)


SAVED_BY_THE_SDK: dict[str, Callable[[Any], str]] = {
    "to_json": lambda a: a.to_json(),
    "to_json on one line": lambda a: a.to_json(indent=None),
    "model_dump_json": lambda a: a.model_dump_json(),
    "model_dump_json by alias": lambda a: a.model_dump_json(by_alias=True),
    "json.dumps of model_dump": lambda a: json.dumps(a.model_dump(), default=str),
    "json.dumps of model_dump for JSON": lambda a: json.dumps(a.model_dump(mode="json")),
    "json.dumps of to_dict": lambda a: json.dumps(a.to_dict(), default=str),
}
SAVED_LISTS: dict[str, Callable[[Any], str]] = {
    "a list of dumps": lambda a: json.dumps([j.model_dump() for j in a.data], default=str),
    "a list of to_json": lambda a: "[" + ",".join(j.to_json() for j in a.data) + "]",
    "lines of to_json": lambda a: "\n".join(j.to_json(indent=None) for j in a.data),
    "pretty to_json one after the other": lambda a: "\n".join(j.to_json() for j in a.data),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of odd values in the sample
@pytest.mark.parametrize("form", [*SAVED_BY_THE_SDK, *SAVED_LISTS])
def test_the_sdks_list_gives_all_jobs_with_all_values(
    tmp_path: Path, vendors_answers: tuple[Any, Any, int], form: str
) -> None:
    listed, _, count = vendors_answers
    source = tmp_path / "saved.json"
    source.write_text((SAVED_BY_THE_SDK | SAVED_LISTS)[form](listed))
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"data": [json.loads(j.to_json()) for j in listed.data]}))

    ids = exported(tmp_path, source)
    ftetl.export(tmp_path / "plain", source=plain, observed_at=DAY)

    assert len(ids) == count
    columns = [
        "job_id",
        "status",
        "created_at",
        "updated_at",
        "total_price_usd",
        "model",
        "model_output_name",
        "token_count",
    ]
    saved, direct = (ftetl.open(tmp_path / name).arrow("jobs").select(columns) for name in ("t", "plain"))
    assert saved.to_pylist() == direct.to_pylist()
    anomalies = ftetl.open(tmp_path / "t").arrow("anomalies").to_pylist()
    assert {(a["kind"], a["path"]) for a in anomalies} <= {("repeated_key", "model_output_name")}


@pytest.mark.parametrize("form", SAVED_BY_THE_SDK)
def test_the_sdks_detail_gives_the_job_and_its_events(
    tmp_path: Path, vendors_answers: tuple[Any, Any, int], form: str
) -> None:
    source = tmp_path / "saved.json"
    source.write_text(SAVED_BY_THE_SDK[form](vendors_answers[1]))

    assert len(exported(tmp_path, source)) == 1
    assert ftetl.open(tmp_path / "t").arrow("events").num_rows == len(vendors_answers[1].events)


@pytest.mark.parametrize("command", [("fine-tuning", "list"), ("fine-tuning", "retrieve")])
def test_what_the_vendors_command_line_prints_gives_all_jobs(tmp_path: Path, command: tuple[str, ...]) -> None:
    pytest.importorskip("together")
    jobs = json.loads((SAMPLES / "list_2026.json").read_bytes())["data"]
    source = tmp_path / "saved.json"
    with demo.serve(jobs) as server:
        usual = server.response
        server.response = lambda path, key: (200, b"{}") if path.endswith("whoami") else usual(path, key)
        more = [jobs[0]["id"]] if command[-1] == "retrieve" else []
        url = server.url.removesuffix("/v1")
        env = {**os.environ, "TOGETHER_API_KEY": server.key, "TOGETHER_BASE_URL": url, "HOME": str(tmp_path)}
        main = "import sys; from together.lib.cli import main; sys.argv[0] = 'tg'; main()"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", main, *command, *more, "--json"],
            env={**env, "NO_COLOR": "1"},
            capture_output=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    source.write_bytes(done.stdout)

    assert exported(tmp_path, source) == (more or sorted(j["id"] for j in jobs))


def test_a_key_that_the_sdk_writes_twice_is_told(tmp_path: Path) -> None:
    report = ftetl.export(tmp_path / "t", source=CASES / "C_sdk_to_json.json", observed_at=DAY)

    (row,) = ftetl.open(tmp_path / "t").arrow("jobs").to_pylist()
    assert (report.exit_code, report.anomalies) == (0, {"repeated_key": 1})
    assert (row["job_id"], row["model_output_name"]) == ("ft-1", "u/x")
