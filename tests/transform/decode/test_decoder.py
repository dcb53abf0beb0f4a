"""What Arrow's JSON reader does to malformed input, and that both readers give the same rows for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import EXITS
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from ftetl.transform import deduplicate
from ftetl.transform.coalesce import coalesce_copies
from ftetl.transform.decode import arrow_reader, decoder, type_probe
from ftetl.transform.decode.source_schema import arrow_schema
from ftetl.transform.flatten import tables as flatten_tables
from ftetl.transform.raw_job import RawJob

NOW = datetime(2026, 7, 3, tzinfo=UTC)
SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def work(raws: Sequence[bytes]) -> tuple[Response, deduplicate.DecodePlan]:
    a = Response("jobs", Memory(b"[" + b",".join(raws) + b"]"), NOW)
    return a, deduplicate.resolve_duplicates([a], [index.scan_response(a)])


def decoded(raws: Sequence[bytes], *, use_arrow: bool = True) -> decoder.Decoded:
    a, chosen = work(raws)
    return decoder.decode(chosen.items, [a], use_arrow=use_arrow)


BOTH_READERS = pytest.mark.parametrize("use_arrow", [True, False], ids=["arrow", "python"])

# --- the traps in pyarrow itself; a row that fails here says that a new version differs

SCHEMA = pa.schema(
    [("i", pa.int64()), ("s", pa.string()), ("f", pa.float64()), ("b", pa.bool_()), ("t", pa.timestamp("us"))]
)


def arrow(text: str | bytes, unexpected: str = "infer") -> pa.Table:
    body = text if isinstance(text, bytes) else text.encode()
    return pj.read_json(
        pa.BufferReader(body),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior=unexpected),
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            '{"x":1}\n{"x":"a"}',
            '{"s":5}',
            '{"f":true}',
            '{"s":{}}',
            '{"i":1500.0}',
            '{"i":1e3}',
            '{"i":9223372036854775808}',
        ),
        *('{"i":1,"i":1}', '{"i":null,"i":1}', '{"x":null,"x":null}', '{"x":{"y":1,"y":2}}', '{"x":[{"y":1,"y":2}]}'),
        *(
            '{"s":"\\ud800"}',
            '{"s":"\\udc00"}',
            '{"x":"\\ud800"}',
            '{"f":1e400}',
            '{"x":1e400}',
            '{"s":"a',
            '{"s":"\\q"}',
        ),
        *('{"t":""}', '{"i":01}', '{"i":1.}', '{"s":"\n"}', "{'s':1}", '{"s":1,}'),
    ],
)
def test_arrow_refuses_a_whole_batch(text: str) -> None:
    with pytest.raises((pa.ArrowInvalid, UnicodeDecodeError)):
        arrow('{"s":"fine"}\n' + text)


def test_arrow_takes_what_is_no_number() -> None:
    assert str(arrow('{"f":NaN}\n{"f":Infinity}\n{"f":-Infinity}')["f"].to_pylist()) == "[nan, inf, -inf]"


def test_arrow_takes_a_number_of_too_many_digits_for_infinite() -> None:
    many = "9" * 309

    assert str(arrow(f'{{"f":{many}}}\n{{"f":-{many}.5}}')["f"].to_pylist()) == "[inf, -inf]"


def test_arrow_takes_broken_utf8_and_only_a_full_check_finds_it() -> None:
    table = arrow(b'{"s":"\xff"}')

    with pytest.raises(pa.ArrowInvalid):
        table.validate(full=True)


def test_arrow_makes_times_of_unknown_texts() -> None:
    assert pa.types.is_timestamp(arrow('{"x":"2026-07-02T08:10:14Z"}').schema.field("x").type)


def test_arrow_takes_the_zero_time_for_a_time() -> None:
    assert arrow('{"t":"0001-01-01T00:00:00Z"}')["t"].to_pylist() == [datetime(1, 1, 1)]


def test_arrow_does_not_tell_which_row_had_a_null() -> None:
    table = arrow('{"s":"a","x":null}\n{"s":"b"}')

    assert table["x"].to_pylist() == [None, None]


def test_arrow_that_ignores_keys_takes_what_is_not_clean() -> None:
    assert arrow('{"x":1,"x":2}', "ignore").num_rows == 1
    assert arrow(b'{"x":"\xff"}', "ignore").num_rows == 1


def test_arrow_makes_a_row_of_a_later_null() -> None:
    assert arrow('{"s":"a"}\nnull\n')["s"].to_pylist() == ["a", None]


KILLERS = {
    "a null first": b'null\n{"id":"ft-1"}\n',
    "absurd depth": b'{"id":"ft-1","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
}


@pytest.mark.skipif(sys.platform != "linux", reason="how a process dies differs elsewhere")
@pytest.mark.parametrize("name", KILLERS)
def test_arrow_dies_of_some_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / "jobs").write_bytes(KILLERS[name])
    script = (
        "import resource, sys, pyarrow.json as j; resource.setrlimit(resource.RLIMIT_CORE, (0, 0));"
        "j.read_json(sys.argv[1], j.ReadOptions(block_size=1 << 20))"
    )

    died = subprocess.run([sys.executable, "-c", script, tmp_path / "jobs"], check=False, capture_output=True)

    assert died.returncode < 0


@pytest.mark.parametrize(
    ("name", "suffix"), [("a null first", ".ndjson"), ("absurd depth", ".ndjson"), ("absurd depth", ".json")]
)
def test_what_kills_arrow_is_quarantined_before_it_gets_there(tmp_path: Path, name: str, suffix: str) -> None:
    body = KILLERS[name] + b'{"id":"ft-2","status":"completed"}\n'
    if suffix == ".json":
        body = b"[" + b",".join(body.splitlines()) + b"]"
    (tmp_path / f"jobs{suffix}").write_bytes(body)
    source = ["--from", tmp_path / f"jobs{suffix}", "--events", "list"]
    command = [sys.executable, "-m", "ftetl", "export", tmp_path / "out", *source, "-q"]

    run = subprocess.run(command, check=False, capture_output=True, cwd=Path(ftetl.__file__).parents[1])

    assert run.returncode == EXITS["PARTIAL"].code, run.stderr
    snapshot = ftetl.open(tmp_path / "out")
    assert snapshot.arrow("jobs")["job_id"].to_pylist() == (["ft-1", "ft-2"] if b"null" in body else ["ft-2"])
    quarantined = snapshot.arrow("quarantine").to_pylist()
    assert [row["rule"] for row in quarantined] == ["not_an_object" if b"null" in body else "too_deep"]
    assert quarantined[0]["raw"].encode() in body


# --- what the decoder makes of it


@dataclass
class Expected:
    """What a job with one malformed member gives: its quarantine rule, or cells, `extra` and anomalies."""

    rule: str | None = None
    cells: dict[str, Any] = field(default_factory=dict)
    extra: str | None = None
    anomalies: list[tuple[str, str, str | None]] = field(default_factory=list)
    event: dict[str, Any] | None = None


def nested(depth: int, kind: str = "[]") -> str:
    return kind[0] * depth + kind[1] * depth if kind == "[]" else '{"k":' * depth + "1" + "}" * depth


TIME = datetime(2026, 7, 2, 8, 10, 14, tzinfo=UTC)
CASES: dict[str, Expected] = {
    # a kind that changes, a number where text is declared, a bool where a number is
    '"status":5': Expected(anomalies=[("status", "wrong_type", "5")]),
    '"status":true': Expected(anomalies=[("status", "wrong_type", "true")]),
    '"status":{"a":1.50}': Expected(anomalies=[("status", "wrong_type", '{"a":1.50}')]),
    '"n_epochs":true': Expected(anomalies=[("n_epochs", "wrong_type", "true")]),
    '"n_epochs":"12"': Expected(anomalies=[("n_epochs", "wrong_type", '"12"')]),
    '"learning_rate":"0.1"': Expected(anomalies=[("learning_rate", "wrong_type", '"0.1"')]),
    '"packing":1': Expected(anomalies=[("packing", "wrong_type", "1")]),
    '"packing":"true"': Expected(anomalies=[("packing", "wrong_type", '"true"')]),
    '"created_at":1751443814': Expected(anomalies=[("created_at", "wrong_type", "1751443814")]),
    '"training_type":"Lora"': Expected(anomalies=[("training_type", "wrong_type", '"Lora"')]),
    '"lr_scheduler":{"lr_scheduler_args":[]}': Expected(
        anomalies=[("lr_scheduler.lr_scheduler_args", "wrong_type", "[]")]
    ),
    '"events":{}': Expected(anomalies=[("events", "wrong_type", "{}")]),
    '"events":"none"': Expected(anomalies=[("events", "wrong_type", '"none"')]),
    # numbers
    '"n_epochs":1500.0': Expected(cells={"n_epochs": 1500}),
    '"n_epochs":1e3': Expected(cells={"n_epochs": 1000}),
    '"total_price":4.0': Expected(anomalies=[("total_price", "wrong_type", "4.0")]),
    '"total_price":4000000000.0': Expected(anomalies=[("total_price", "wrong_type", "4000000000.0")]),
    '"refund_amount":1e400': Expected(anomalies=[("refund_amount", "wrong_type", "1e400")]),
    '"train_price":4e9': Expected(anomalies=[("train_price", "wrong_type", "4e9")]),
    '"eval_price":-0': Expected(cells={"eval_price_nanousd": 0}),
    '"n_epochs":-0': Expected(cells={"n_epochs": 0}),
    '"random_seed":9007199254740993': Expected(cells={"random_seed": 9007199254740993}),
    '"random_seed":9007199254740992.0': Expected(cells={"random_seed": 9007199254740992}),
    '"random_seed":9007199254740994.0': Expected(anomalies=[("random_seed", "out_of_range", "9007199254740994.0")]),
    '"random_seed":1e17': Expected(anomalies=[("random_seed", "out_of_range", "1e17")]),
    '"n_epochs":1.5': Expected(anomalies=[("n_epochs", "wrong_type", "1.5")]),
    '"random_seed":9223372036854775807': Expected(cells={"random_seed": 2**63 - 1}),
    '"random_seed":9223372036854775808': Expected(anomalies=[("random_seed", "out_of_range", "9223372036854775808")]),
    '"random_seed":-9223372036854775808': Expected(cells={"random_seed": -(2**63)}),
    '"random_seed":-9223372036854775809': Expected(anomalies=[("random_seed", "out_of_range", "-9223372036854775809")]),
    f'"random_seed":{"9" * 5000}': Expected(anomalies=[("random_seed", "out_of_range", "9" * 5000)]),
    '"random_seed":NaN': Expected(anomalies=[("random_seed", "not_finite", "NaN")]),
    '"random_seed":1e400': Expected(anomalies=[("random_seed", "out_of_range", "1e400")]),
    '"learning_rate":1': Expected(cells={"learning_rate": 1.0}),
    '"learning_rate":9007199254740992': Expected(cells={"learning_rate": 9007199254740992.0}),
    '"learning_rate":-1.5e300': Expected(cells={"learning_rate": -1.5e300}),
    '"learning_rate":9007199254740993': Expected(
        cells={"learning_rate": 9007199254740992.0}, anomalies=[("learning_rate", "rounded", "9007199254740993")]
    ),
    '"learning_rate":-12345678901234567890.5': Expected(
        cells={"learning_rate": -12345678901234567890.0},
        anomalies=[("learning_rate", "rounded", "-12345678901234567890.5")],
    ),
    f'"learning_rate":-{"9" * 400}': Expected(anomalies=[("learning_rate", "out_of_range", f"-{'9' * 400}")]),
    f'"lr_scheduler":{{"lr_scheduler_args":{{"min_lr_ratio":{"9" * 309}.5}}}}': Expected(
        anomalies=[("lr_scheduler.lr_scheduler_args.min_lr_ratio", "out_of_range", f"{'9' * 309}.5")]
    ),
    f'"events":[null,{{}},{{"early_stopping_best_metric_value":{"9" * 400}}}]': Expected(
        anomalies=[
            ("events.early_stopping_best_metric_value", "out_of_range", "9" * 400),
            ("events", "wrong_type", "null"),
        ]
    ),
    '"learning_rate":1e400': Expected(anomalies=[("learning_rate", "out_of_range", "1e400")]),
    '"learning_rate":-1e400': Expected(anomalies=[("learning_rate", "out_of_range", "-1e400")]),
    '"learning_rate":1e-400': Expected(cells={"learning_rate": 0.0}),
    '"learning_rate":NaN': Expected(anomalies=[("learning_rate", "not_finite", "NaN")]),
    '"learning_rate":Infinity': Expected(anomalies=[("learning_rate", "not_finite", "Infinity")]),
    '"learning_rate":-Infinity': Expected(anomalies=[("learning_rate", "not_finite", "-Infinity")]),
    '"events":[{"step":NaN}]': Expected(anomalies=[("events.step", "not_finite", "NaN")], event={"step": None}),
    '"learning_rate":1.': Expected(rule="broken_json"),
    '"learning_rate":01': Expected(rule="broken_json"),
    '"new":.5': Expected(rule="broken_json"),
    # repeated keys: harmless with the same value, as the vendor's SDK writes them
    '"model":"a","model":"a"': Expected(cells={"model": "a"}, anomalies=[("model", "repeated_key", None)]),
    '"model":"a","m\\u006fdel":"\\u0061","model":"a"': Expected(
        cells={"model": "a"}, anomalies=[("model", "repeated_key", None)]
    ),
    '"n_epochs":1,"n_epochs":1.0': Expected(rule="duplicate_keys"),
    '"n_epochs":1,"n_epochs":true': Expected(rule="duplicate_keys"),
    '"learning_rate":1.50,"learning_rate":1.5': Expected(rule="duplicate_keys"),
    '"new":1,"new":"1"': Expected(rule="duplicate_keys"),
    '"new":1.0,"new":"1.0"': Expected(rule="duplicate_keys"),
    '"new":{"a":1,"b":[{}]},"new":{"b":[{}],"a":1}': Expected(
        extra='{"new":{"a":1,"b":[{}]}}', anomalies=[("new", "repeated_key", None)]
    ),
    '"\\ud800":1,"\\ud800":1': Expected(
        extra='{"\ufffd":1}', anomalies=[("\ufffd", "repeated_key", None), ("\ufffd", "lone_surrogate", '"\\ud800"')]
    ),
    '"status":"a","status":null': Expected(rule="duplicate_keys"),
    '"status":null,"status":null': Expected(anomalies=[("status", "repeated_key", None)]),
    '"status":"a","stat\\u0075s":null': Expected(rule="duplicate_keys"),
    '"id":"ft-1"': Expected(anomalies=[("id", "repeated_key", None)]),
    '"new":1,"new":1': Expected(extra='{"new":1}', anomalies=[("new", "repeated_key", None)]),
    '"new":null,"new":null': Expected(extra='{"new":null}', anomalies=[("new", "repeated_key", None)]),
    '"new":{"a":null,"a":null}': Expected(extra='{"new":{"a":null}}', anomalies=[("new.a", "repeated_key", None)]),
    '"new":[[{"a":1,"b":2,"a":3}]]': Expected(rule="duplicate_keys"),
    '"checkpoints":[{"a":1,"a":1}]': Expected(
        cells={"checkpoints": '[{"a":1}]'}, anomalies=[("checkpoints.a", "repeated_key", None)]
    ),
    '"checkpoints":[],"checkpoints":null': Expected(rule="duplicate_keys"),
    '"job_id":{"a":1,"a":1}': Expected(anomalies=[("job_id.a", "repeated_key", None)]),
    '"job_id":{"batch_size":1,"batch_size":"max"}': Expected(rule="duplicate_keys"),
    '"training_type":{"type":"Full","type":null}': Expected(rule="duplicate_keys"),
    '"events":[{"type":"JOB_START","type":null}]': Expected(rule="duplicate_keys"),
    '"events":[{"new":null,"new":null}]': Expected(
        event={"extra": '{"new":null}'}, anomalies=[("events.new", "repeated_key", None)]
    ),
    '"events":[{"object":{"batch_size":1,"batch_size":"max"}}]': Expected(rule="duplicate_keys"),
    '"events":[],"events":[]': Expected(anomalies=[("events", "repeated_key", None)]),
    **{
        f'{place}"train_on_inputs":{one},{spelled}:{other}{end}': Expected(rule="duplicate_keys")
        for one, other in [
            ('"auto"', "true"),
            ("true", "false"),
            ("null", "true"),
            ('"auto"', "null"),
            ('"a"', '"b"'),
        ]
        for spelled in ('"train_on_inputs"', '"train_on_input\\u0073"')
        for place, end in [
            ("", ""),
            ('"training_method":{', "}"),
            ('"new":{', "}"),
            ('"events":[{', "}]"),
            ('"events":[{"new":{', "}}]"),
        ]
    },
    **{
        f'{place}"train_on_inputs":{one},{spelled}:{one}{end}': Expected(
            extra=f'{{"new":{{"train_on_inputs":{one}}}}}' if path == "new." else None,
            anomalies=[(f"{path}train_on_inputs", "repeated_key", None)],
        )
        for one in ('"auto"', "true", "null")
        for spelled in ('"train_on_inputs"', '"train_on_input\\u0073"')
        for place, end, path in [
            ('"training_method":{', "}", "training_method."),
            ('"new":{', "}", "new."),
            ('"events":[{', "}]", "events."),
            ('"events":[{"new":{', "}}]", "events.new."),
        ]
    },
    '"batch_size":8,"batch_size":"max"': Expected(rule="duplicate_keys"),
    '"batch_size":null,"batch_size":"max"': Expected(rule="duplicate_keys"),
    '"batch_size":null,"\\u0062atch_size":null': Expected(anomalies=[("batch_size", "repeated_key", None)]),
    # texts
    '"model":"a\\ud800b"': Expected(
        cells={"model": "a\ufffdb"}, anomalies=[("model", "lone_surrogate", '"a\\ud800b"')]
    ),
    '"model":"\\udc00"': Expected(cells={"model": "\ufffd"}, anomalies=[("model", "lone_surrogate", '"\\udc00"')]),
    '"model":"\\ud83d\\ude00"': Expected(cells={"model": "\U0001f600"}),
    '"model":"\\u0000\\t"': Expected(cells={"model": "\0\t"}),
    '"new":"a\\ud800b"': Expected(extra='{"new":"a\ufffdb"}', anomalies=[("new", "lone_surrogate", '"a\\ud800b"')]),
    '"new":{"\\ud800":1}': Expected(
        extra='{"new":{"\ufffd":1}}', anomalies=[("new.\ufffd", "lone_surrogate", '"\\ud800"')]
    ),
    '"\\ud800":1,"\\ud801":2': Expected(
        extra='{"\ufffd":1}',
        anomalies=[("\ufffd", "lone_surrogate", '"\\ud800"'), ("\ufffd", "lone_surrogate", '{"\\ud801":2}')],
    ),
    '"model":"a\nb"': Expected(rule="broken_json"),
    '"model":"\\q"': Expected(rule="broken_json"),
    # depth
    f'"new":{nested(150)}': Expected(extra=f'{{"new":{nested(150)}}}'),
    f'"new":{nested(199)}': Expected(extra=f'{{"new":{nested(199)}}}'),
    f'"new":{nested(199, "{}")}': Expected(extra=f'{{"new":{nested(199, "{}")}}}'),
    f'"checkpoints":{nested(199)}': Expected(cells={"checkpoints": nested(199)}),
    f'"status":{nested(199)}': Expected(anomalies=[("status", "wrong_type", nested(199))]),
    **{
        f'"{key}":{nested(depth, kind)}': Expected(rule="too_deep")
        for key in ("new", "checkpoints", "status", "job_id", "training_type", "n_epochs")
        for depth, kind in [(200, "[]"), (250, "{}"), (900, "[]"), (900, "{}")]
    },
    **{f'"{key}":{nested(200_000)}': Expected(rule="too_deep") for key in ("new", "checkpoints", "status")},
    f'"new":{nested(200_000, "{}")}': Expected(rule="too_deep"),
    f'"events":[{{"object":{nested(250)}}}]': Expected(rule="too_deep"),
    f'"events":[{{"new":{nested(198)}}}]': Expected(rule="too_deep"),
    f'"events":[{{"new":{nested(197)}}}]': Expected(event={"extra": f'{{"new":{nested(197)}}}'}),
    # unknown keys: the exact text
    '"new":"2026-07-02T08:10:14.250Z"': Expected(extra='{"new":"2026-07-02T08:10:14.250Z"}'),
    '"new":[1.50,1e3,12345678901234567890123,-0,true,null]': Expected(
        extra='{"new":[1.50,1e3,12345678901234567890123,-0,true,null]}'
    ),
    '"new":null': Expected(extra='{"new":null}'),
    '"n\\u0065w":null': Expected(extra='{"new":null}'),
    '"":{}': Expected(extra='{"":{}}'),
    '"a\\"b\\\\c":1': Expected(extra='{"a\\"b\\\\c":1}'),
    '"größe":"☃"': Expected(extra='{"größe":"☃"}'),
    '"new" : [ 1 , { "a" : 2 } ]': Expected(extra='{"new":[1,{"a":2}]}'),
    '"new":[1,NaN,{"a":-Infinity}]': Expected(
        extra='{"new":[1,null,{"a":null}]}',
        anomalies=[("new", "not_finite", "NaN"), ("new.a", "not_finite", "-Infinity")],
    ),
    '"checkpoints":[NaN]': Expected(cells={"checkpoints": "[null]"}, anomalies=[("checkpoints", "not_finite", "NaN")]),
    '"events":[{},{"new":NaN}]': Expected(anomalies=[("events.new", "not_finite", "NaN")]),
    '"training_type":{"new":1,"type":"Full"}': Expected(
        cells={"training_type": "Full"}, extra='{"training_type":{"new":1}}'
    ),
    '"lr_scheduler":{"lr_scheduler_args":{"new":null}}': Expected(
        extra='{"lr_scheduler":{"lr_scheduler_args":{"new":null}}}'
    ),
    '"lr_scheduler":{"batch_size":"max"}': Expected(extra='{"lr_scheduler":{"batch_size":"max"}}'),
    '"progress":{"train_on_inputs":null}': Expected(extra='{"progress":{"train_on_inputs":null}}'),
    '"events":[{"train_on_inputs":true}]': Expected(event={"extra": '{"train_on_inputs":true}'}),
    '"events":[{"batch_size":null}]': Expected(event={"extra": '{"batch_size":null}'}),
    '"events":[{"object":"x","new":1.0}]': Expected(event={"extra": '{"new":1.0}'}),
    '"x\\"train_on_inputs":true': Expected(extra='{"x\\"train_on_inputs":true}'),
    '"x\\"train_on_inputs":null': Expected(extra='{"x\\"train_on_inputs":null}'),
    '"train_on_input~":true': Expected(extra='{"train_on_input~":true}'),
    '"train_on_input\\u007e":true': Expected(extra='{"train_on_input~":true}'),
    '"batch_siz\\u005E":true': Expected(extra='{"batch_siz^":true}'),
    '"job_id":"ft-9","events":[{"object":"x"}]': Expected(event={"extra": None}),
    # columns of JSON text
    '"checkpoints":[]': Expected(cells={"checkpoints": "[]"}),
    '"checkpoints":{}': Expected(cells={"checkpoints": "{}"}),
    '"checkpoints":null': Expected(cells={"checkpoints": None}),
    '"checkpoints":[null]': Expected(cells={"checkpoints": "[null]"}),
    '"checkpoints":[[]]': Expected(cells={"checkpoints": "[[]]"}),
    '"checkpoints":[{}]': Expected(cells={"checkpoints": "[{}]"}),
    '"checkpoints":{"a":null}': Expected(cells={"checkpoints": '{"a":null}'}),
    '"checkpoints":"text"': Expected(cells={"checkpoints": '"text"'}),
    '"checkpoints":""': Expected(cells={"checkpoints": '""'}),
    '"checkpoints":0': Expected(cells={"checkpoints": "0"}),
    '"checkpoints":false': Expected(cells={"checkpoints": "false"}),
    '"checkpoints":"2026-07-02T08:10:14Z"': Expected(cells={"checkpoints": '"2026-07-02T08:10:14Z"'}),
    '"check\\u0070oints":[ 1.50 ]': Expected(cells={"checkpoints": "[1.50]"}),
    '"multimodal_params":{"train_vision":true}': Expected(cells={"multimodal_params": '{"train_vision":true}'}),
    '"training_files":["file-1",1e3,{"b":1,"a":[]}]': Expected(
        cells={"training_files": '["file-1",1e3,{"b":1,"a":[]}]'}
    ),
    # times
    '"created_at":""': Expected(cells={"created_at": None}),
    '"created_at":"0001-01-01T00:00:00Z"': Expected(cells={"created_at": None}),
    '"created_at":"2026-07-02T08:10:14Z"': Expected(cells={"created_at": TIME}),
    '"created_at":"yesterday"': Expected(anomalies=[("created_at", "bad_time", '"yesterday"')]),
}
NEIGHBOURS = (
    b'{"id":"ft-0","status":"running","n_epochs":3}',
    b'{"id":"ft-2","new":"x","events":[{"type":"JOB_START"}]}',
)


@BOTH_READERS
@pytest.mark.parametrize("text", CASES, ids=lambda text: text[:60])
def test_a_malformed_member_becomes_null_an_anomaly_or_quarantine_as_designed(
    monkeypatch: pytest.MonkeyPatch, text: str, use_arrow: bool
) -> None:
    monkeypatch.setattr(decoder, "_SMALL", 0)
    expected = CASES[text]
    raw = ('{"id":"ft-1",' + text + "}").encode()
    first, last = NEIGHBOURS

    a, chosen = work([first, raw, last])
    found = decoder.decode(chosen.items, [a], use_arrow=use_arrow)
    flat = flatten_tables.flatten(found)

    quarantined = found.quarantined + chosen.quarantined
    assert [(x.rule, x.raw, x.position) for x in quarantined] == ([(expected.rule, raw, 1)] if expected.rule else [])
    rows = {row["job_id"]: row for row in flat.jobs.to_pylist()}
    assert (rows["ft-0"]["n_epochs"], rows["ft-2"]["extra"]) == (3, '{"new":"x"}')
    if expected.rule:
        assert rows.keys() == {"ft-0", "ft-2"}
        return
    row = rows["ft-1"]
    assert row["extra"] == expected.extra
    assert {name: row[name] for name in expected.cells} == expected.cells
    anomalies = [(o.path, o.kind, o.raw) for o in flat.anomalies if o.job_id == "ft-1" and o.kind != "unknown_enum"]
    assert anomalies == expected.anomalies
    for path, kind, _ in expected.anomalies:
        nulls = kind in ("wrong_type", "out_of_range", "not_finite", "bad_time")
        if nulls and path in row.keys() - expected.cells.keys():
            assert row[path] is None
    if expected.event is not None:
        event = next(e for e in flat.events.to_pylist() if e["job_id"] == "ft-1")
        assert {name: event[name] for name in expected.event} == expected.event


@BOTH_READERS
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize(
    "where",
    [b'"model":"@"', b'"new":"@"', b'"@":1', b'"checkpoints":["@"]', b'"job_id":"@"', b'"events":[{"object":"@"}]'],
)
def test_broken_utf8_is_found_wherever_it_lies(where: bytes, bad: bytes, use_arrow: bool) -> None:
    raw = b'{"id":"ft-1",' + where.replace(b"@", bad) + b"}"

    found = decoded([NEIGHBOURS[0], raw, NEIGHBOURS[1]], use_arrow=use_arrow)

    assert [(a.rule, a.raw, a.job_id) for a in found.quarantined] == [("broken_utf8", raw, "ft-1")]
    assert [i.job_id for i in found.items] == ["ft-0", "ft-2"]


@BOTH_READERS
def test_a_quarantined_element_has_a_job_id_only_if_it_is_sure(use_arrow: bool) -> None:
    found = decoded([b'{"id":"ft-1","id":"ft-2"}', b'{"id":"ft-3","x":1,"x":[{"id":"e"}]}'], use_arrow=use_arrow)

    assert sorted((a.job_id or "", a.rule) for a in found.quarantined) == [
        ("", "duplicate_keys"),
        ("ft-3", "duplicate_keys"),
    ]


@BOTH_READERS
def test_secrets_are_masked_in_everything_that_is_decoded(use_arrow: bool) -> None:
    secrets = '"hf_api_token":"s3cret","wandb_key":{"a":"s3cret"}'
    raws = [
        f'{{"id":"ft-1",{secrets},"new":{{{secrets}}},"events":[{{{secrets}}}],"checkpoints":[{{{secrets}}}]}}',
        f'{{"id":"ft-2","training_type":{{{secrets}}},"status":{{{secrets}}},"learning_rate":[{{{secrets}}}]}}',
        f'{{"id":"ft-3","events":[{{"message":{{{secrets}}}}},{{"new":[{{{secrets}}}]}}]}}',
        f'{{"id":"ft-4","new":1,"new":2,{secrets}}}',
        f'{{"id":"ft-5",{secrets},"new":oops}}',
        '{"id":"ft-6","hf_api_tok\\u0065n":"s3cret","x":"\\udead"}',
    ]
    a, chosen = work([raw.encode() for raw in raws])

    found = decoder.decode(chosen.items, [a], use_arrow=use_arrow)
    flat = flatten_tables.flatten(found)

    everything = repr(
        (found.jobs.to_pylist(), found.extra, found.event_extra, found.quarantined, chosen.quarantined, flat.anomalies)
    )
    assert "s3cret" not in everything
    assert everything.count("***") > 10
    assert {i.job_id for i in found.items} == {"ft-1", "ft-2", "ft-3", "ft-6"}


# --- batches, halves and the budget


def test_batches_keep_the_order_and_the_copies_of_a_job_together() -> None:
    items = [RawJob(job_id, 0, n, 0, 100) for n, job_id in enumerate("aabccccd")]

    found = list(decoder.split_into_batches(items, 150))

    assert ["".join(i.job_id for i in batch) for batch in found] == ["aa", "b", "cccc", "d"]
    assert list(decoder.split_into_batches(items, 10_000)) == [items]
    assert list(decoder.split_into_batches([])) == []


@BOTH_READERS
def test_no_jobs_give_a_table_with_every_column(use_arrow: bool) -> None:
    found = decoder.decode([], [], use_arrow=use_arrow)

    assert found.jobs.schema == arrow_schema(json_as_text=True)
    assert found.jobs.num_rows == 0
    assert flatten_tables.flatten(found).jobs.num_rows == 0


@BOTH_READERS
def test_a_batch_of_only_refused_jobs_gives_no_rows(use_arrow: bool) -> None:
    found = decoded([b'{"id":"a","x":1,"x":2}', b'{"id":"b","x":1,"x":2}'], use_arrow=use_arrow)

    assert len(found.quarantined) == 2
    assert flatten_tables.flatten(found).jobs.num_rows == 0


def many(count: int, odd: dict[int, bytes], more: bytes = b"") -> list[bytes]:
    pad = b'"model":"' + b"m" * 200 + b'"'
    return [odd.get(n) or b'{"id":"ft-%05d",%s%s}' % (n, pad, more) for n in range(count)]


@pytest.mark.parametrize(
    "odd",
    [
        b'{"id":"ft-00700","status":5}',
        b'{"id":"ft-00700","batch_size":1,"batch_size":"max"}',
        b'{"id":"ft-00700","x":{"batch_size":1,"batch_size":"max"}}',
    ],
)
def test_one_refused_job_leaves_only_its_neighbours_to_the_python_reader(
    monkeypatch: pytest.MonkeyPatch, odd: bytes
) -> None:
    monkeypatch.setattr(decoder, "_SMALL", 2000)
    raws = many(1000, {700: odd, 20: odd.replace(b"700", b"020")})

    found = decoded(raws)

    assert len(found.items) + len(found.quarantined) == 1000
    assert [i.job_id for i in found.items] == sorted({i.job_id for i in found.items})
    assert found.python_rows < 40
    assert found.jobs.column("id").to_pylist() == [i.job_id for i in found.items]


@pytest.mark.parametrize("odd", [b'{"id":"ft-%05d","status":5}', b'{"id":"ft-%05d","x":NaN}'])
@pytest.mark.parametrize("step", [1, 2, 3, 10])
def test_rows_of_both_readers_come_in_order_however_many_jobs_are_refused(
    monkeypatch: pytest.MonkeyPatch, odd: bytes, step: int
) -> None:
    monkeypatch.setattr(decoder, "_SMALL", 300)
    raws = many(60, {n: odd % n for n in range(0, 60, step)})

    found, slow = decoded(raws), decoded(raws, use_arrow=False)

    assert found.jobs == slow.jobs
    assert found.extra == slow.extra
    assert sorted(map(repr, found.row_anomalies)) == sorted(map(repr, slow.row_anomalies))


@pytest.mark.parametrize("slices", [0, 10_000])
@pytest.mark.parametrize("step", [2, 7, 100])
def test_mistyped_jobs_are_taken_out_of_a_batch_at_once(
    monkeypatch: pytest.MonkeyPatch, step: int, slices: int
) -> None:
    monkeypatch.setattr(decoder, "_SMALL", 0)
    monkeypatch.setattr(decoder, "_MAX_SLICES", slices)
    tries: list[int] = []
    read = arrow_reader.read_batch
    monkeypatch.setattr(arrow_reader, "read_batch", lambda body, count: tries.append(count) or read(body, count))
    odd = {n: b'{"id":"ft-%05d","status":5,"new":%d,"events":[{"x":%d}]}' % (n, n, n) for n in range(1, 512, step)}
    raws = many(512, odd, b',"events":[{"y":1}],"more":2')

    found, slow = decoded(raws), decoded(raws, use_arrow=False)

    assert tries == [512, 512 - len(odd)]
    assert found.python_rows == len(odd)
    assert [i.job_id for i in found.items] == [i.job_id for i in slow.items]
    assert found.jobs == slow.jobs
    assert (found.extra, found.event_extra, found.unknown_keys) == (slow.extra, slow.event_extra, slow.unknown_keys)


def test_one_job_that_has_to_be_halved_out_does_not_hide_the_mistyped_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_SMALL", 0)
    odd = {n: b'{"id":"ft-%05d","status":5}' % n for n in range(0, 512, 10)}
    raws = many(512, odd | {333: b'{"id":"ft-00333","b\\u0061tch_size":1}'})

    found = decoded(raws)

    assert found.jobs.num_rows == 512
    assert found.python_rows == len(odd) + 1


def test_alternating_jobs_are_not_concatenated_from_one_slice_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice is made of a hundred arrays: of 200,000 jobs they took 8 GB."""
    slices: list[int] = []
    concat = pa.concat_tables
    monkeypatch.setattr(pa, "concat_tables", lambda tables: slices.append(len(tables)) or concat(tables))
    raws = many(2000, {n: b'{"id":"ft-%05d","status":5,"model":"%s"}' % (n, b"m" * 200) for n in range(0, 2000, 2)})

    found = decoded(raws)

    assert found.python_rows == 1000
    assert slices
    assert max(slices) <= decoder._MAX_SLICES


def test_a_batch_that_is_refused_over_and_over_is_left_to_the_python_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_SMALL", 0)
    monkeypatch.setattr(type_probe, "find_mistyped", lambda _: set())
    tries: list[int] = []
    read = arrow_reader.read_batch

    def reading(body: memoryview, count: int) -> pa.Table:
        try:
            table = read(body, count)
        except pa.ArrowInvalid as error:
            row = arrow_reader.refused_row(error, count)
            tries.append(len(body) if row is None else len(body) * row // count)
            raise
        tries.append(len(body))
        return table

    monkeypatch.setattr(arrow_reader, "read_batch", reading)
    raws = many(512, {n: b'{"id":"ft-%05d","status":5,"model":"%s"}' % (n, b"m" * 200) for n in range(0, 512, 2)})

    found = decoded(raws)

    assert found.python_rows > 400
    assert found.jobs.num_rows == 512
    assert sum(tries) <= (decoder._MAX_REREAD + 2) * sum(map(len, raws))


def test_what_is_small_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    read = arrow_reader.read_batch
    monkeypatch.setattr(arrow_reader, "read_batch", lambda body, count: tries.append(count) or read(body, count))

    found = decoded([b'{"id":"a"}', b'{"id":"b","status":5}', b'{"id":"c"}', b'{"id":"d","x":NaN}', b'{"id":"e"}'])

    assert found.python_rows == 5
    assert tries == []


@pytest.mark.parametrize("where", ["%s", '"new":{%s}', '"events":[{%s}]', '"training_type":{%s}'])
def test_a_batch_whose_unknown_keys_are_identifiers_is_left_to_the_python_reader(where: str) -> None:
    """An unknown map by identifier would give Arrow a field for each; such a batch is read job by job."""
    more = [", " + where % ",".join(f'"k{n}-{k}":{k}' for k in range(20)) for n in range(3000)]
    raws = [b'{"id":"ft-%05d"%s}' % (n, m.encode()) for n, m in enumerate(more)]

    found = decoded(raws)

    assert found.jobs.num_rows == 3000
    assert found.python_rows == 3000
    if where == "%s":
        assert json.loads(found.extra[7]) == {f"k7-{k}": k for k in range(20)}


@pytest.mark.parametrize("count", [1, 2])
def test_unknown_keys_alone_need_no_python_reader(count: int) -> None:
    raws = many(500, {}, b',"new":"2026-07-02T08:10:14Z","more":{"a":[1.50,null]},"none":null')

    found = decoded(raws * 1)

    assert found.python_rows == 0
    assert set(found.extra.values()) == {'{"new":"2026-07-02T08:10:14Z","more":{"a":[1.50,null]},"none":null}'}
    assert found.unknown_keys == {"new": 500, "more": 500, "none": 500}


@BOTH_READERS
def test_a_job_with_several_copies_counts_once_for_its_unknown_keys(use_arrow: bool) -> None:
    texts = [f'{{"id":"ft-1","updated_at":"2026-07-0{day}T00:00:00Z","new":{day}}}' for day in (1, 2, 3)]
    responses = [Response(text, Memory(f"[{text}]".encode()), NOW) for text in texts]
    items = deduplicate.resolve_duplicates(responses, [index.scan_response(a) for a in responses]).items

    found = coalesce_copies(decoder.decode(items, responses, use_arrow=use_arrow), responses).decoded

    assert found.unknown_keys == {"new": 1}
    assert found.extra == {0: '{"new":3}', 1: '{"new":2}', 2: '{"new":1}'}


def test_the_arrow_reader_takes_real_responses() -> None:
    raws = [path.read_bytes() for path in sorted(SAMPLES.glob("detail_*.json"))]
    raws += [json.dumps(j).encode() for j in json.loads((SAMPLES / "list_2026.json").read_bytes())["data"]]

    for number, raw in enumerate(raws):
        assert decoded([raw.replace(b"ft-", b"ft-%d" % number)]).python_rows == 0


def test_pretty_printed_jobs_are_read_at_once() -> None:
    raws = [
        json.dumps({"id": f"ft-{n}", "events": [{"type": "JOB_START", "message": "a\nb"}]}, indent=2).encode()
        for n in range(9)
    ]

    found = decoded(raws)

    assert found.python_rows == 0
    assert found.jobs == decoded(raws, use_arrow=False).jobs


def test_an_export_of_lines_gives_the_tables_of_an_export_of_a_list(tmp_path: Path) -> None:
    raws = [
        (f'{{"id":"ft-{n:04}",' + text + "}").encode()
        for n, text in enumerate(CASES)
        if len(text) < 10_000 and "\n" not in text
    ]
    found = {}
    for suffix, body in ((".json", b"[" + b",".join(raws) + b"]"), (".ndjson", b"\n".join(raws))):
        (tmp_path / f"jobs{suffix}").write_bytes(body)
        report = ftetl.export(
            tmp_path / f"out{suffix}", source=tmp_path / f"jobs{suffix}", events="list", observed_at=NOW
        )
        snapshot = ftetl.open(tmp_path / f"out{suffix}")
        assert report.exit_code == EXITS["PARTIAL"].code
        assert report.received == len(raws) == report.rows["jobs"] + report.rows["quarantine"]
        found[suffix] = {name: snapshot.arrow(name).to_pylist() for name in ("jobs", "events", "anomalies")} | {
            "quarantine": {(row["raw"], row["rule"]) for row in snapshot.arrow("quarantine").to_pylist()}
        }

    assert found[".json"] == found[".ndjson"]


def test_the_order_of_the_jobs_changes_no_byte(tmp_path: Path) -> None:
    jobs = [json.loads(p.read_bytes()) for p in sorted(SAMPLES.glob("detail_*.json"))]
    files = []
    for number, order in enumerate(([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0])):
        source = tmp_path / f"{number}.ndjson"
        source.write_text("\n".join(json.dumps(jobs[at]) for at in order))
        ftetl.export(tmp_path / f"out{number}", source=source, events="list", observed_at=NOW)
        files.append({p.name: p.read_bytes() for p in sorted((tmp_path / f"out{number}" / "current").iterdir())})

    assert files[0] == files[1] == files[2]
    assert len(files[0]) == len(tables()) + 3  # the memory of what was listed, and two documents


def test_a_response_of_lines_is_read_like_a_list() -> None:
    a = Response("jobs", Memory(b'{"id":"b","n_epochs":1}\r\n\r\n{"id":"a","n_epochs":2}'), NOW, Shape.LINES)

    found = decoder.decode(deduplicate.resolve_duplicates([a], [index.scan_response(a)]).items, [a])

    assert found.jobs.select(["id", "n_epochs"]).to_pylist() == [{"id": "a", "n_epochs": 2}, {"id": "b", "n_epochs": 1}]
