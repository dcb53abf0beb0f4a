"""Real bodies with damaged bytes: each element is a row or in quarantine, whatever became of it, and no process dies.

The damage is done to elements, many in one body, so that one export judges hundreds of them; and to whole bodies, which
go through the first rooms only. Both run in a process of their own, because some bytes have killed Arrow's reader: such
a death is then seen, and the body that caused it is still there.

    FTETL_FUZZ=1000000 FTETL_FUZZ_SEED=7 pytest -m slow tests/integration/test_fuzz.py -s
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

OBSERVED_AT = datetime(2026, 11, 23, 4, 20, tzinfo=UTC)
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
ELEMENTS = 500  # in a body
ENDINGS = (65, 76)  # how a body may be refused: not a whole list of jobs, or not this API
ORDERLY = ("jobs", "events", "job_history", "anomalies")  # tables that do not tell where in its answer a thing lay

TOKENS = (
    *(b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"-0", b"1500.0"),
    *(b"9007199254740993", b"9223372036854775808", b"-9223372036854775809", b"9" * 40, b"9" * 5000, b"1e15", b"0x1"),
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"{}", b"[]", b'""', b"[null]", b'[{"a":1},{"a":"x"}]', b"//"),
    *(
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"\\u0000",
        b"\\u",
        b"\x00",
        b"\x7f",
        b"\x1f",
        b"\xff",
        b"\xed\xa0\x80",
        b"\r",
    ),
    *(codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b"\xc0\xaf", b"\xf4\x90\x80\x80", "\u2028".encode(), b" ", b"\t", b"\x0b"),
    *(b'"0001-01-01T00:00:00Z"', b'"2026-02-30T00:00:00Z"', b'"now"', b'""', b'"max"', b'"auto"', b'"../../etc"'),
    *(b'"id":', b'"events":', b'"batch_size":', b'"train_on_inputs":', b'"training_method":', b'"batch_siz~":'),
    *(b'"i\\u0064":', b'"new":', b'"":', b'"hf_api_token":', b'"updated_at":null,', b'"data":['),
    *(b"[" * 150 + b"]" * 150, b"[" * 300 + b"]" * 300, b'{"k":' * 400, b"[" * 50_000, b'{"a":[' * 30_000),
)
_VALUE = re.compile(rb'(?<=:)\s*(?:"(?:[^"\\]|\\.)*"|[^\s",:{}\[\]]+)')
_SECRET = re.compile(rb'(?:hf_api_token|wandb_key)"\s*:?\s*\Z')
_KEY = re.compile(rb'"[a-z_]+"\s*(?=:)')


def bitten(raw: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 8))):
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)


def overwritten(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw))
    raw[at : at + dice.randrange(1, 5)] = dice.randbytes(dice.randrange(1, 5))


def deleted(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw))
    del raw[at : at + dice.choice((1, 1, 2, 7, 60))]


def inserted(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw) + 1)
    raw[at:at] = dice.choice(TOKENS) if dice.random() < 0.7 else dice.randbytes(dice.randrange(1, 4))


def doubled(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw))
    part = raw[at : at + dice.choice((1, 5, 30, 200))]
    raw[at:at] = part


def moved(raw: bytearray, dice: random.Random) -> None:
    at, to = dice.randrange(len(raw)), dice.randrange(len(raw))
    part = raw[at : at + dice.choice((1, 5, 30, 200))]
    raw[to:to] = part


def cut(raw: bytearray, dice: random.Random) -> None:
    del raw[dice.randrange(len(raw)) :]


def beheaded(raw: bytearray, dice: random.Random) -> None:
    del raw[: dice.randrange(len(raw))]


def revalued(raw: bytearray, dice: random.Random) -> None:
    """One value becomes a token, or another value of the same body."""
    places = [match.span() for match in _VALUE.finditer(raw)]
    if places:
        start, end = dice.choice(places)
        other = dice.choice(places)
        raw[start:end] = dice.choice(TOKENS) if dice.random() < 0.6 else raw[other[0] : other[1]]


def renamed(raw: bytearray, dice: random.Random) -> None:
    """One key takes the name of another, which may then stand twice."""
    places = [match.span() for match in _KEY.finditer(raw)]
    if places:
        start, end = dice.choice(places)
        other = dice.choice(places)
        raw[start:end] = raw[other[0] : other[1]]


def encoded(raw: bytearray, dice: random.Random) -> None:
    text = raw.decode("utf-8", "replace")
    codec = dice.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "utf-8-sig"))
    raw[:] = text.encode(codec, "replace")


DAMAGE = (
    *(bitten, bitten, overwritten, deleted, deleted, inserted, inserted, doubled, moved),
    *(cut, beheaded, renamed, encoded, *[revalued] * 8),
)


def damaged(raw: bytes, dice: random.Random) -> bytes:
    found = bytearray(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        if found:
            dice.choice(DAMAGE)(found, dice)
    return bytes(found)


def jobs() -> list[dict[str, Any]]:
    """Jobs as the service tells them, with and without events, and invented ones."""
    from tests.demo.generator import generate_jobs

    listed = json.loads((SAMPLES / "list_2026.json").read_bytes())["data"]
    return [
        *listed,
        *(json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("detail_*.json"))),
        *generate_jobs(seed=3, count=60),
        {"id": "x", "wandb_key": "s3cret", "hf_api_token": None, "new": {"a": [1, {"b": 1.50}]}, "zz": "größe ☃ 😀"},
    ]


def written(job: dict[str, Any], number: int, dice: random.Random) -> bytes:
    """A job under an id of its own, in one of the ways in which JSON is written."""
    members = list((job | {"id": f"fz-{number:05}"}).items())
    if dice.random() < 0.2:
        dice.shuffle(members)
    gaps = (",", ":") if dice.random() < 0.7 else (", ", ": ")
    return json.dumps(dict(members), ensure_ascii=dice.random() < 0.5, separators=gaps).encode()


# --- what must become of an element, judged without the code that is tried


class RepeatedError(ValueError):
    pass


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; a key may be repeated with an equal value only."""
    members = dict(pairs)
    if any([members[key]] != [value] for key, value in pairs):  # in lists, so that one NaN is equal to itself
        raise RepeatedError
    return members


def number(text: str) -> tuple[str]:
    return (text,)  # equal to no `true` and to no number that is written in another way


def own_id(raw: bytes) -> str | None:
    """The id of an element that is one clean JSON object with a usable one."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_int=number, parse_float=number)
    except (ValueError, RecursionError):
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", found) else None


def is_deep(raw: bytes) -> bool:
    return raw.count(b"[") + raw.count(b"{") > 200


def elements(body: bytes) -> list[bytes]:
    return [bare for line in body.removeprefix(codecs.BOM_UTF8).split(b"\n") if (bare := line.strip())]


def check(body: bytes, folder: Path, dice: random.Random) -> Counter[str]:
    """Export the lines twice, and once in another order; every line is found again."""
    import ftetl
    from ftetl.raw import secret_masking

    def export(name: str, lines: bytes) -> tuple[Any, Path]:
        source, target = folder / f"{name}.ndjson", folder / name
        source.write_bytes(lines)
        report = ftetl.export(target, source=source, observed_at=OBSERVED_AT, events="list", allow_drift=True)
        assert report.exit_code in (0, 3), report.exit_code
        return report, target

    lines = elements(body)
    report, target = export("target", body)
    snapshot = ftetl.open(target)
    rows = set(snapshot.arrow("jobs").column("job_id").to_pylist())
    quarantined = set(snapshot.arrow("quarantine").column("raw_sha256").to_pylist())
    assert report.received == len(lines)
    assert report.rows["jobs"] == len(rows)
    masked = elements(secret_masking.mask_everything(body, lines=True))  # as responses are when they arrive
    ids = Counter(own_id(raw) for raw in masked)
    for raw in masked:
        mine, is_quarantined = own_id(raw), hashlib.sha256(secret_masking.mask_secrets(raw)).hexdigest() in quarantined
        if mine is None:
            assert is_quarantined, raw
        else:
            assert mine in rows or is_quarantined, raw
            if ids[mine] == 1 and not is_deep(raw):
                assert mine in rows, raw
                assert not is_quarantined, raw
    assert rows <= {*ids}
    # No row and no quarantine comes from nowhere.
    assert len(quarantined) <= len({*lines}) - len(rows)

    again, _ = export("target", body)
    assert not again.changed

    first, *others = body.split(b"\n")
    dice.shuffle(others)
    export("shuffled", b"\n".join([first, *others]))
    for name in ORDERLY:
        one, other = ((folder / t / "current" / f"{name}.parquet").read_bytes() for t in ("target", "shuffled"))
        assert one == other, name
    mixed = ftetl.open(folder / "shuffled").arrow("quarantine")
    columns = ["raw_sha256", "raw", "raw_encoding", "rule", "job_id"]
    assert mixed.select(columns).equals(snapshot.arrow("quarantine").select(columns))
    return Counter(
        elements=len(lines), rows=len(rows), quarantined=len(quarantined), anomalies=report.rows["anomalies"]
    )


def try_elements(count: int, dice: random.Random, folder: Path) -> Counter[str]:
    """Damage that many elements, and export them in bodies of lines."""
    pool, found = jobs(), Counter[str]()
    for at in range(0, count, ELEMENTS):
        lines = [written(pool[0], 0, dice)]  # a sane one, so that the body is an answer
        for number in range(1, min(ELEMENTS, count - at) + 1):
            whose = number if dice.random() > 0.03 else dice.randrange(1, number + 1)
            line = damaged(written(dice.choice(pool), whose, dice), dice)
            # Behind a secret key the next line is masked as its value, and so depends on the order.
            lines.append(line + b"." if _SECRET.search(line) else line)
        here = folder / f"body-{at}"
        here.mkdir()
        found += check(b"\n".join(lines), here, dice)
        found["damaged elements"] += len(lines) - 1
        remove(here)
    return found


def try_bodies(count: int, dice: random.Random, folder: Path) -> Counter[str]:
    """Damage that many whole bodies; each is refused in one of our words, or every element is accounted for."""
    from ftetl.errors import FtetlError
    from ftetl.raw import index
    from ftetl.raw.blob import Memory
    from ftetl.raw.response import Response, Shape
    from ftetl.transform import deduplicate
    from ftetl.transform.decode import decoder
    from ftetl.transform.flatten import tables

    pool, found = jobs(), Counter[str]()
    for _ in range(count):
        texts = [written(dice.choice(pool), number, dice) for number in range(dice.randrange(4))]
        shape = dice.choice((Shape.DOCUMENT, Shape.DOCUMENT, Shape.DOCUMENT, Shape.LINES))
        listed = b"[" + b",".join(texts) + b"]"
        wrappings = [listed, b'{"object":"list","data":' + listed + b',"has_more":false}', *texts[:1]]
        body = damaged(b"\n".join(texts) if shape is Shape.LINES else dice.choice(wrappings), dice)
        (folder / "last-body").write_bytes(body)
        response = Response("jobs", Memory(body), OBSERVED_AT, shape)
        try:
            scanned = index.scan_response(response)
            work = deduplicate.resolve_duplicates([response], [scanned])
            decoded = decoder.decode(work.items, [response])
            flat = tables.flatten(decoded)
        except FtetlError as error:
            if error.exit.code not in ENDINGS:
                raise
            found["refused bodies"] += 1
        else:
            accounted = flat.jobs.num_rows + len(work.quarantined) + len(decoded.quarantined) + work.identical
            assert accounted == scanned.received
            found["accepted bodies"] += 1
    return found


def remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def main(what: str, count: int, seed: int, folder: Path) -> None:
    tries = {"elements": try_elements, "bodies": try_bodies}
    print(json.dumps(tries[what](count, random.Random(seed), folder)))


# --- the tests


def run(what: str, count: int, seed: int, folder: Path) -> Counter[str]:
    command = [sys.executable, "-m", "tests.integration.test_fuzz", what, str(count), str(seed), str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return Counter(json.loads(done.stdout))


def test_damaged_elements_are_rows_or_in_quarantine_and_say_the_same_again(tmp_path: Path) -> None:
    """As many as give each kind of damage, and each of its three ends, tens of times; the slow test takes 100,000."""
    found = run("elements", 400, 1, tmp_path)

    assert found["damaged elements"] == 400
    assert min(found["rows"], found["quarantined"], found["anomalies"]) > 60  # the damage reaches all three


def test_damaged_bodies_are_accounted_for_or_refused(tmp_path: Path) -> None:
    found = run("bodies", 400, 2, tmp_path)

    assert min(found["refused bodies"], found["accepted bodies"]) > 100


@pytest.mark.slow
@pytest.mark.parametrize("what", ["elements", "bodies"])
def test_no_damage_of_very_much_does_harm(what: str, tmp_path: Path) -> None:
    count, seed = int(os.environ.get("FTETL_FUZZ", "100000")), int(os.environ.get("FTETL_FUZZ_SEED", "0"))
    print(what, dict(run(what, count, seed, tmp_path)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
