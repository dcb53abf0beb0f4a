"""With `--pii hash` or `drop` no byte that a run leaves tells of a person; with `keep` nothing is other than before."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import ftetl
from ftetl import demo
from ftetl.cli.main import cli
from ftetl.config.settings import Settings
from ftetl.contract import people, tables
from ftetl.errors import ConfigError, DataError, FtetlError, UsageError
from ftetl.extract.privacy import pseudonyms, redacting_source, redactor
from ftetl.store.manifest import newest_manifest
from ftetl.store.target import Target
from tests.demo.generator import generate_jobs
from tests.integration.canary import MAIL

KEY = b"not-a-secret-of-anybody-at-all"
DAY = datetime(2026, 8, 1, tzinfo=UTC)
WHO = "canary-feedfacecafebeef01"
LIST = "/v1/fine-tunes"
Job = dict[str, Any]


def planted(count: int = 6) -> list[Job]:
    """Invented jobs in which two people are named, wherever somebody could be."""
    jobs = generate_jobs(count=count)
    for job in jobs:
        job |= {key: WHO for key in people() if key in job or key == "owner_address"}
        job["user_email"] = MAIL
        job["suffix"] = f"for-{MAIL}"
        job["shared_with"] = {MAIL: [{"username": WHO, "by": f"<{MAIL}>"}], f"x{MAIL}": None}
        for event in job["events"] or []:
            event |= {key: WHO for key in people() if key in event}
            event["message"] = f"Checkpoint saved, {MAIL} was told"
            event["told"] = [MAIL]
    return jobs


def odd(job: Job) -> list[bytes]:
    """Elements that only the Python reader can read, or no table can take; they lie between clean ones."""
    text = json.dumps(job | {"events": []})[1:-1].replace("@", r"\u0040")
    ids = iter(range(100))
    return [
        part.replace(b'"id": "', b'"id": "odd-%d-' % next(ids))
        for part in (
            b'{%s, "learning_rate": NaN, "n_epochs": "%s"}' % (text.encode(), MAIL.encode()),
            b'{%s, "status": {"user_id": "%s"}}' % (text.replace('"status"', '"state"').encode(), WHO.encode()),
            b'{"user_id": "%s", %s}' % (WHO.encode(), text.encode()),  # a key twice
            b'{%s, "x": "\xff %s"}' % (text.encode(), MAIL.encode()),
            b'{%s, "x": [1 2]}' % text.encode(),
            b'{"user_id" "%s", "to": "%s"}' % (WHO.encode(), MAIL.encode()),
            b'["%s"]' % MAIL.encode(),
            b'"%s"' % MAIL.encode(),
        )
    ]


def document(jobs: list[Job]) -> bytes:
    return b'{"data":[%s]}' % b",\n".join([*(json.dumps(job).encode() for job in jobs), *odd(jobs[0])])


def lines(jobs: list[Job]) -> bytes:
    found = [*(json.dumps(job).encode() for job in jobs), *odd(jobs[0])]
    return b"\n".join([*found, b'{"id":"cut","user_id":{"a":"%s"' % WHO.encode(), json.dumps(jobs[-1]).encode()])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(planted()) as running:
        yield running


def words(mode: str, key: Path) -> list[str]:
    return ["--pii", mode, *(["--pii-key-file", str(key)] if mode == "hash" else [])]


def run(*given: Any, stdin: bytes | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
    """A command; its exit code and all that it said."""
    done = CliRunner().invoke(cli, [str(word) for word in given], input=stdin, env=env, standalone_mode=False)
    error = done.exception
    if error is not None and not isinstance(error, FtetlError):
        raise error
    return (error.exit.code if error else int(done.return_value or 0)), f"{done.output}{error}"


def written(target: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a target: its bytes, what it is the packed form of, and what its tables and statistics hold."""
    for path in sorted(target.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        yield path.name, path.read_bytes()
        if path.suffix == ".zst":
            with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
                yield path.name, stream.read()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            rows = table.to_pylist()
            yield path.name, repr((rows, pq.read_metadata(path).to_dict())).encode()
            yield from ((path.name, base64.b64decode(r["raw"])) for r in rows if r.get("raw_encoding") == "base64")


def assert_nobody(target: Path, said: str = "") -> None:
    told = [("what was said", said.encode()), *written(target)]
    names = WHO.encode(), MAIL.encode(), MAIL.replace("@", r"\u0040").encode(), MAIL.split("@")[1].encode()

    assert len(told) > 5
    assert [name for name, data in told if any(n in data or n.hex().encode() in data for n in names)] == []


def source(kind: str, folder: Path) -> tuple[Path | str, bytes | None]:
    """A source of this kind, and what comes through stdin."""
    jobs = planted()
    if kind == "stdin":
        return "-", document(jobs)
    if kind == "lines through stdin":
        return "-", gzip.compress(lines(jobs))
    if kind == "a folder":
        (folder / "dumps").mkdir()
        (folder / "dumps" / "a.json").write_bytes(document(jobs[:6]))
        (folder / "dumps" / "b.ndjson.gz").write_bytes(gzip.compress(lines(jobs[3:])))
        return folder / "dumps", None
    path = folder / kind
    data = lines(jobs) if ".ndjson" in kind else document(jobs)
    path.write_bytes(gzip.compress(data) if kind.endswith(".gz") else data)
    return path, None


WAYS = [
    ("a.json", "hash"),
    ("a.ndjson", "drop"),
    ("a.json.gz", "drop"),
    ("a folder", "hash"),
    ("stdin", "drop"),
    ("lines through stdin", "hash"),
]


@pytest.mark.parametrize(("kind", "mode"), WAYS)
def test_no_stored_byte_names_a_person(kind: str, mode: str, key: Path, tmp_path: Path) -> None:
    place, stdin = source(kind, tmp_path)
    target = tmp_path / "target"
    given = ["export", target, "--from", place, "--format", "csv", "-vv", *words(mode, key)]

    code, said = run(*given, stdin=stdin)
    assert code == 3
    shown = run("quarantine", target, "--json")[1]

    assert_nobody(target, said + shown)
    assert KEY.decode() not in said + repr(list(written(target)))
    whose = {pseudonyms.Pseudonyms(KEY)(WHO.encode())} if mode == "hash" else set()
    assert {*ftetl.open(target).arrow("jobs")["user_id"].to_pylist()} - {None} == whose


@pytest.mark.parametrize(("kind", "mode"), [("a.json", "hash"), ("a.ndjson", "drop")])
def test_everything_else_equals_the_export_without_redaction(kind: str, mode: str, key: Path, tmp_path: Path) -> None:
    place, _ = source(kind, tmp_path)
    plain, target = tmp_path / "plain", tmp_path / "target"
    run("export", plain, "--from", place)
    run("export", target, "--from", place, *words(mode, key))

    assert newest_manifest(plain).facts["identity"].keys() == {"project", "service"}
    for name, table in tables().items():
        before, after = ftetl.open(plain).arrow(name), ftetl.open(target).arrow(name)
        assert before.num_rows == after.num_rows
        if name in ("jobs", "events", "job_history"):
            free = {"suffix", "message", "failure_reason", "extra"}
            kept = [c.name for c in table.columns if not c.pii and c.name not in free]
            assert before.select(kept).equals(after.select(kept))
    messages = ftetl.open(target).arrow("events")["message"].to_pylist()
    shown = pseudonyms.Pseudonyms(KEY)(MAIL.encode()) if mode == "hash" else "***"
    assert {f"Checkpoint saved, {shown} was told"} == {m for m in messages if m}


@pytest.mark.parametrize("mode", ["hash", "drop"])
class TestOverHttp:
    def export(self, server: demo.Server, target: Path, mode: str, key: Path, *more: Any) -> tuple[int, str]:
        given = ["export", target, "--base-url", server.url, "--observed-at", DAY.isoformat(), *words(mode, key)]
        return run(*given, "-vv", *more, env={"TOGETHER_API_KEY": server.key})

    def test_no_byte_tells_of_a_person_and_a_second_run_or_a_rebuild_changes_nothing(
        self, server: demo.Server, mode: str, key: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"

        code, said = self.export(server, target, mode, key)

        assert code == 0
        assert len(server.requests) == 4 + len(server.jobs)  # whose the key is, the list, the details, and the files
        assert_nobody(target, said)
        assert any(path.suffix == ".zst" for path in (target / "_ftetl" / "archive").iterdir())

        server.requests.clear()
        code, said = self.export(server, target, mode, key, "--observed-at", "2027-01-01T00:00:00Z")

        assert (code, newest_manifest(target).version) == (0, 1)
        assert "nothing changed" in said
        assert len(server.requests) <= 4 + len(server.jobs)
        code, said = run("rebuild", target)  # the archive has been rewritten already: no key

        assert (code, newest_manifest(target).version) == (0, 1)
        assert "nothing changed" in said

    def test_evidence_of_a_failed_run_is_no_way_out(
        self, server: demo.Server, mode: str, key: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"
        for body in (b'{"x":[{"user_id":"%s"}],"m":"%s"}', b'{"error":{"user_id":"%s","message":"ask %s"}}'):
            said = body % (WHO.encode(), MAIL.encode())
            server.response = lambda *_, said=said: (200, said)  # type: ignore[method-assign, misc]
            code, told = self.export(server, target, mode, key)

            assert code == 65
            assert list((target / "_ftetl" / "failed").glob("*/*"))
            assert_nobody(target, told)


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_rebuilding_from_a_saved_response_redacts_it_again(mode: str, key: Path, tmp_path: Path) -> None:
    place, _ = source("a.ndjson.gz", tmp_path)
    target = tmp_path / "target"
    run("export", target, "--from", place, *words(mode, key))
    other = tmp_path / "other"
    other.write_bytes(KEY[::-1])

    if mode == "hash":
        assert run("rebuild", target)[0] == 78
        assert run("rebuild", target, "--pii-key-file", other)[0] == 78
        code, said = run("rebuild", target, "--pii-key-file", key)
    else:
        assert run("rebuild", target, "--pii-key-file", key)[0] == 2
        code, said = run("rebuild", target)

    assert code == 0, said
    assert "nothing changed" in said
    assert_nobody(target, said)


class TestTheTargetsIdentity:
    """What is copied from run to run stays as it was, so a target is treated in one way for good."""

    @pytest.mark.parametrize(
        ("first", "then", "said"),
        [
            ("keep", "hash", "made with --pii keep, not hash"),
            ("keep", "drop", "made with --pii keep, not drop"),
            ("hash", "keep", "made with --pii hash, not keep"),
            ("drop", "hash", "made with --pii drop, not hash"),
            ("hash", "hash", "is not the one that the target's pseudonyms were made with"),
        ],
    )
    def test_another_way_is_refused(self, first: str, then: str, said: str, key: Path, tmp_path: Path) -> None:
        place, _ = source("a.json", tmp_path)
        target = tmp_path / "target"
        run("export", target, "--from", place, *words(first, key))
        before = newest_manifest(target)
        key.write_bytes(b"another key, as long as it must be")

        code, told = run("export", target, "--from", place, *words(then, key))

        assert code == 78
        assert said in told
        assert "new target" in told
        assert newest_manifest(target) == before

    def test_what_a_dead_first_run_left_is_refused_as_well(self, tmp_path: Path) -> None:
        target = tmp_path / "target"
        with Target(target) as held:
            held.keep_failed_response(held.run_id, "answer", b"somebody")
        place, _ = source("a.json", tmp_path)

        with pytest.raises(ConfigError, match="made with --pii keep, not drop"):
            ftetl.export(target, source=place, pii="drop")
        assert ftetl.export(target, source=place).changed

    def test_a_dead_first_run_of_the_same_kind_is_gone_on_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "target"
        place, _ = source("a.json", tmp_path)
        with pytest.raises(DataError):
            ftetl.export(target, source=place, pii="drop", quarantine="fail")
        (target / "_ftetl" / "archive" / "left").touch()

        with pytest.raises(ConfigError, match="made with --pii drop, not keep"):
            ftetl.export(target, source=place)
        assert ftetl.export(target, source=place, pii="drop").version == 1


KEYS = {
    "none": (None, ConfigError, "needs a key"),
    "a file that is not there": ("", ConfigError, "cannot be read"),
    "fifteen bytes": (b" 0123456789abcde\n", ConfigError, "has 15 bytes"),
    "a whole file of something": (b"x" * 5000, ConfigError, "too long"),
}


@pytest.mark.parametrize("case", KEYS)
def test_an_unusable_pseudonym_key_is_refused(case: str, tmp_path: Path) -> None:
    data, kind, said = KEYS[case]
    file = tmp_path / "key"
    if data:
        file.write_bytes(data)
    given = {} if data is None else {"pii_key_file": file}

    with pytest.raises(kind, match=said) as caught:
        pseudonyms.read_pseudonyms(Settings.from_options(tmp_path / "t", "demo", {"pii": "hash", **given}))
    assert caught.value.next
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("mode", ["keep", "drop"])
def test_a_pseudonym_key_without_hashing_is_refused(mode: str, key: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none are made"):
        ftetl.export(tmp_path / "t", source="demo", pii=mode, pii_key_file=key)


def test_a_world_readable_pseudonym_key_gives_a_warning(key: Path, caplog: pytest.LogCaptureFixture) -> None:
    key.chmod(0o644)
    given = Settings.from_options("t", "demo", {"pii": "hash", "pii_key_file": str(key)})

    made = pseudonyms.read_pseudonyms(given)

    assert "--pii-key-file can be read by everybody" in caplog.text
    assert KEY.decode() not in caplog.text + repr(made) + repr(given)


def test_a_pseudonym_is_an_hmac_that_others_can_compute() -> None:
    """`printf who | openssl dgst -sha256 -hmac KEY`, its first 32 digits."""
    made = pseudonyms.Pseudonyms(b"0123456789abcdef")

    assert made(b"who") == made(b"who") == "pii:c679ad7cf1901eacd13b27f95be3efdd"
    assert pseudonyms.Pseudonyms(b"0123456789abcdeg")(b"who") != made(b"who")
    with pytest.raises(TypeError):
        made.__reduce__()


def test_a_large_file_is_redacted_a_window_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out is the same, and what waits has no name and is not what the manifest tells of."""
    place, _ = source("a.ndjson", tmp_path)
    ftetl.export(tmp_path / "whole", source=place, pii="drop", observed_at=DAY)
    monkeypatch.setattr(redactor, "WINDOW", 1)
    monkeypatch.setattr(redacting_source, "_PIECE", 999)
    ftetl.export(tmp_path / "pieces", source=place, pii="drop", observed_at=DAY)

    for name in tables():
        assert ftetl.open(tmp_path / "pieces").arrow(name).equals(ftetl.open(tmp_path / "whole").arrow(name))
    (index,) = (tmp_path / "pieces" / "_ftetl" / "archive" / "index").iterdir()
    (told,) = json.loads(index.read_bytes())["answers"]
    assert (told["bytes"], told["path"]) == (place.stat().st_size, str(place))


def test_a_value_that_never_ends_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactor, "WINDOW", 1)
    monkeypatch.setattr(redactor, "LONGEST", 5_000)
    monkeypatch.setattr(redacting_source, "_PIECE", 999)
    place = tmp_path / "a.json"
    place.write_bytes(b'{"data":[{"id":"a","user_id":"' + b"x" * 20_000 + b'"}]}')

    with pytest.raises(DataError, match="where a person should be named"):
        ftetl.export(tmp_path / "t", source=place, pii="drop")


keys = st.sampled_from(["x", "user_id", "suffix", "events", "created_at", "n_epochs"])
leaves = st.sampled_from([WHO, MAIL, f"hi {MAIL}!", "", "x", 5, None, True, 1.5, "\u00e4", '"', "\\"])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "events", "id", "message", "model", MAIL, *sorted(people())]), inner),
    ),
    max_leaves=8,
)


def _hidden(value: Any) -> Any:
    """The same without the first canary, where no key says that it is a person."""
    if isinstance(value, dict):
        return {k: v if k in people() else _hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return "x" if value == WHO else value


@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(["x", "user_id", "suffix", "events", "created_at", "n_epochs"]), trees),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
    st.sampled_from(["hash", "drop"]),
)
def test_whatever_is_sent_no_stored_byte_names_a_person(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[Job, bool]], escaped: bool, mode: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "key").write_bytes(KEY)
    rows = ['{"id":"whole"}']
    for number, (job, is_cut) in enumerate(found):
        told = {k: v if k in people() else _hidden(v) for k, v in job.items()}
        raw = json.dumps({**told, "id": f"ft-{number}"}, ensure_ascii=escaped).replace(
            "@", r"\u0040" if escaped else "@"
        )
        rows.append(raw[: -len(raw) // 3] if is_cut else raw)
    (folder / "a.ndjson").write_text("\n".join(rows))

    code, said = run("export", folder / "t", "--from", folder / "a.ndjson", *words(mode, folder / "key"))

    assert code in (0, 3)
    assert_nobody(folder / "t", said)


def test_a_killed_process_leaves_no_persons_data_behind(tmp_path: Path) -> None:
    """What comes through a pipe waits in a file without a name, as it came, until it is rewritten."""
    target = tmp_path / "target"
    given = [sys.executable, "-m", "ftetl", "export", str(target), "--from", "-", "--pii", "drop"]
    with subprocess.Popen(given, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(document(planted()) * 20)
        process.stdin.flush()  # a pipe holds less than that, so most of it has been read
        process.kill()

    assert [path for path in target.rglob("*") if path.is_file() and MAIL.encode() in path.read_bytes()] == []


def test_the_demo_and_the_doctor_have_the_privacy_options(key: Path, server: demo.Server, tmp_path: Path) -> None:
    assert run("demo", tmp_path / "demo", *words("hash", key))[0] == 0
    assert {u[:4] for u in ftetl.open(tmp_path / "demo").arrow("jobs")["user_id"].to_pylist()} == {"pii:"}
    env = {"TOGETHER_API_KEY": server.key}
    asked = ["doctor", tmp_path / "t", "--base-url", server.url]

    code, said = run(*asked, *words("hash", key), env=env)
    assert (code, "pseudonyms, by the key with the fingerprint" in said) == (0, True)
    assert run(*asked, "--pii", "hash", env=env)[0] == 78
    run("export", tmp_path / "t", "--base-url", server.url, "--pii", "drop", "--events", "none", env=env)
    assert run(*asked, env=env)[0] == 78
