"""What a cell holds: null policy, aliases, enumerations, two kinds in one field, money, minimums."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ftetl.contract import Column, tables
from ftetl.contract.arrow_schema import TYPES
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.transform import deduplicate
from ftetl.transform.decode import decoder
from ftetl.transform.flatten import tables as flatten_tables

NOW = datetime(2026, 7, 3, tzinfo=UTC)
BOTH_READERS = pytest.mark.parametrize("use_arrow", [True, False], ids=["arrow", "python"])

Row = dict[str, Any]
AnomalyTuple = tuple[str, str, str | None]


def flat(text: str, *, use_arrow: bool) -> tuple[Row, list[Row], list[AnomalyTuple]]:
    """The row of a job with these members, its events, and its anomalies."""
    body = '[{"id":"ft-1"' + ("," if text else "") + text + "}]"
    a = Response("jobs", Memory(body.encode()), NOW)
    plan = deduplicate.resolve_duplicates([a], [index.scan_response(a)])
    found = flatten_tables.flatten(decoder.decode(plan.items, [a], use_arrow=use_arrow))
    return found.jobs.to_pylist()[0], found.events.to_pylist(), [(o.path, o.kind, o.raw) for o in found.anomalies]


Case = tuple[Row, list[AnomalyTuple]]

CASES: dict[str, Case] = {
    # null policy
    '"model":"","suffix":null,"user_id":"x"': ({"model": None, "suffix": None, "user_id": "x"}, []),
    '"model":" "': ({"model": " "}, []),
    '"token_count":0,"total_price":0': (
        {"token_count": 0, "total_price_nanousd": 0, "total_price_usd": Decimal("0.000000000")},
        [],
    ),
    '"max_steps":-1,"learning_rate":0': ({"max_steps": -1, "learning_rate": 0.0}, []),
    '"packing":false,"early_stopped":null': ({"packing": False, "early_stopped": None}, []),
    '"created_at":"","updated_at":"0001-01-01T00:00:00Z"': ({"created_at": None, "updated_at": None}, []),
    '"training_type":null,"lr_scheduler":{},"progress":{"estimate_available":null}': (
        {"training_type": None, "lr_scheduler_type": None, "progress_estimate_available": None},
        [],
    ),
    '"training_type":{"type":""}': ({"training_type": None}, []),
    # open enumerations
    '"status":"running"': ({"status": "running", "is_terminal": False}, []),
    '"status":"user_error"': ({"status": "user_error", "is_terminal": True}, []),
    '"status":"Completed"': (
        {"status": "Completed", "is_terminal": False},
        [("status", "unknown_enum", '"Completed"')],
    ),
    '"status":"päused"': ({"status": "päused", "is_terminal": False}, [("status", "unknown_enum", '"päused"')]),
    '"status":""': ({"status": None, "is_terminal": None}, []),
    '"training_type":{"type":"QLora","new":1}': (
        {"training_type": "QLora", "extra": '{"training_type":{"new":1}}'},
        [("training_type.type", "unknown_enum", '"QLora"')],
    ),
    '"training_type":{"type":"Full","lora_r":8}': ({"training_type": "Full", "lora_r": 8}, []),
    '"training_method":{"method":"grpo","beta":1}': (
        {"training_method": "grpo", "extra": '{"training_method":{"beta":1}}'},
        [("training_method.method", "unknown_enum", '"grpo"')],
    ),
    # a batch size is a number, or the word
    '"batch_size":8': ({"batch_size": 8, "batch_size_max": False}, []),
    '"batch_size":"max"': ({"batch_size": None, "batch_size_max": True}, []),
    '"batch_size":null': ({"batch_size": None, "batch_size_max": None}, []),
    '"batch_size":""': ({"batch_size": None, "batch_size_max": None}, []),
    '"batch_size":"min"': ({"batch_size": None, "batch_size_max": None}, [("batch_size", "wrong_type", '"min"')]),
    '"batch_size":"MAX"': ({"batch_size": None, "batch_size_max": None}, [("batch_size", "wrong_type", '"MAX"')]),
    '"batch_size":"8"': ({"batch_size": None, "batch_size_max": None}, [("batch_size", "wrong_type", '"8"')]),
    '"batch_size":-1': ({"batch_size": None, "batch_size_max": False}, [("batch_size", "out_of_range", "-1")]),
    # a boolean, or a word
    '"train_on_inputs":true': ({"train_on_inputs": "true"}, []),
    '"train_on_inputs":false': ({"train_on_inputs": "false"}, []),
    '"train_on_inputs":"auto"': ({"train_on_inputs": "auto"}, []),
    '"train_on_inputs":"true"': ({"train_on_inputs": "true"}, []),
    '"train_on_inputs":null': ({"train_on_inputs": None}, []),
    '"train_on_inputs":""': ({"train_on_inputs": None}, []),
    '"train_on_inputs":"never"': ({"train_on_inputs": "never"}, [("train_on_inputs", "unknown_enum", '"never"')]),
    '"train_on_inputs":1': ({"train_on_inputs": None}, [("train_on_inputs", "wrong_type", "1")]),
    '"training_method":{"train_on_inputs":true},"train_on_inputs":"auto"': (
        {"sft_train_on_inputs": "true", "train_on_inputs": "auto"},
        [],
    ),
    # aliases
    '"Suffix":"old"': ({"suffix": "old"}, []),
    '"suffix":"new","Suffix":"new"': ({"suffix": "new"}, []),
    '"suffix":"new","Suffix":"old"': ({"suffix": "new"}, [("Suffix", "alias_conflict", '"old"')]),
    '"suffix":"","Suffix":"old"': ({"suffix": "old"}, []),
    '"suffix":"new","Suffix":""': ({"suffix": "new"}, []),
    '"suffix":null,"Suffix":"old"': ({"suffix": "old"}, []),
    '"TrainingFileNumLines":5,"trainingfile_size":7': ({"trainingfile_numlines": 5, "trainingfile_size": 7}, []),
    '"trainingfile_numlines":4,"TrainingFileNumLines":5': (
        {"trainingfile_numlines": 4},
        [("TrainingFileNumLines", "alias_conflict", "5")],
    ),
    '"trainingfile_numlines":"x","TrainingFileNumLines":5': (
        {"trainingfile_numlines": 5},
        [("trainingfile_numlines", "wrong_type", '"x"')],
    ),
    # minimums
    '"token_count":-1,"n_epochs":-5': (
        {"token_count": None, "n_epochs": None},
        [("token_count", "out_of_range", "-1"), ("n_epochs", "out_of_range", "-5")],
    ),
    # money
    '"total_price":314400': ({"total_price_nanousd": 314400, "total_price_usd": Decimal("0.000314400")}, []),
    '"total_price":4000000000': ({"total_price_usd": Decimal("4.000000000")}, []),
    '"total_price":-1': ({"total_price_nanousd": -1, "total_price_usd": Decimal("-0.000000001")}, []),
    '"refund_amount":2150000001,"train_price":1,"eval_price":null': (
        {
            "refund_amount_usd": Decimal("2.150000001"),
            "train_price_usd": Decimal("0.000000001"),
            "eval_price_usd": None,
        },
        [],
    ),
    '"total_price":999999999999999999': ({"total_price_usd": Decimal("999999999.999999999")}, []),
    '"total_price":1000000000000000000': (
        {"total_price_nanousd": 10**18, "total_price_usd": None},
        [("total_price", "out_of_range", "1000000000000000000")],
    ),
    '"total_price":-1000000000000000000': (
        {"total_price_nanousd": -(10**18), "total_price_usd": None},
        [("total_price", "out_of_range", "-1000000000000000000")],
    ),
    '"total_price":9223372036854775807': (
        {"total_price_nanousd": 2**63 - 1, "total_price_usd": None},
        [("total_price", "out_of_range", "9223372036854775807")],
    ),
    '"total_price":9223372036854775808': (
        {"total_price_nanousd": None, "total_price_usd": None},
        [("total_price", "out_of_range", "9223372036854775808")],
    ),
    '"total_price":"4000000000"': (
        {"total_price_nanousd": None, "total_price_usd": None},
        [("total_price", "wrong_type", '"4000000000"')],
    ),
    '"total_price":4e9': (  # a real may be another unit
        {"total_price_nanousd": None, "total_price_usd": None},
        [("total_price", "wrong_type", "4e9")],
    ),
}


@BOTH_READERS
@pytest.mark.parametrize("text", CASES)
def test_a_cell_holds_what_the_contract_says(text: str, use_arrow: bool) -> None:
    cells, anomalies = CASES[text]

    row, _, found = flat(text, use_arrow=use_arrow)

    assert {name: row[name] for name in cells} == cells
    assert sorted(found) == sorted(anomalies)


EVENT: dict[str, tuple[str | None, bool]] = {
    # type: upper case on the wire, names in the docs, one alias
    "JOB_PENDING": ("job_pending", False),
    "job_pending": ("job_pending", False),
    "Job_Complete": ("job_complete", False),
    "COMPRESSING_MODEL": ("model_compressing", False),
    "MODEL_COMPRESSING": ("model_compressing", False),
    "compressing_model": ("model_compressing", False),
    "": (None, False),
    "JOB_EXPLODED": ("JOB_EXPLODED", True),
    "JOB COMPLETE": ("JOB COMPLETE", True),
    " JOB_COMPLETE": (" JOB_COMPLETE", True),
}
LEVEL: dict[str, tuple[str | None, bool]] = {
    "": (None, False),
    "Info": ("info", False),
    "Warning": ("warning", False),
    "ERROR": ("error", False),
    "info": ("info", False),
    "legacy_info": ("info", False),
    "legacy_iwarning": ("warning", False),
    "Legacy_IError": ("error", False),
    "fatal": ("fatal", True),
    "legacy_fatal": ("legacy_fatal", True),
    "iinfo": ("iinfo", True),
}


@BOTH_READERS
@pytest.mark.parametrize(("name", "words"), [("type", EVENT), ("level", LEVEL)])
def test_known_spellings_become_one_word_and_others_stay(
    name: str, words: dict[str, tuple[str | None, bool]], use_arrow: bool
) -> None:
    text = ",".join(json.dumps({name: word}) for word in words)

    _, events, anomalies = flat(f'"events":[{text}]', use_arrow=use_arrow)

    assert [event[name] for event in events] == [word for word, _ in words.values()]
    assert anomalies == [
        (f"events.{name}", "unknown_enum", json.dumps(word)) for word, (_, odd) in words.items() if odd
    ]


@BOTH_READERS
@pytest.mark.parametrize("column", [c for c in tables()["events"].columns if c.enum], ids=lambda c: c.name)
def test_every_word_of_the_contract_is_known_in_any_case(column: Column, use_arrow: bool) -> None:
    words = [*column.enum, *column.spellings]
    text = ",".join(json.dumps({column.name: w}) for word in words for w in (word, word.upper(), word.title()))

    _, events, anomalies = flat(f'"events":[{text}]', use_arrow=use_arrow)

    assert [event[column.name] for event in events[::3]] == [column.spellings.get(w, w) for w in words]
    assert {event[column.name] for event in events} == set(column.enum)
    assert anomalies == []


def columns(table: str) -> list[Column]:
    return [c for c in tables()[table].columns if c.sources and c.read not in ("last_event", "computed")]


@BOTH_READERS
@pytest.mark.parametrize("odd", ["null", "[]", "{}", "true", "12", "1.5", '"text"', "NaN", "1e400"])
def test_every_column_keeps_its_type_whatever_comes(odd: str, use_arrow: bool) -> None:
    """R24, exhaustively: each field with each kind of JSON value, all at once, and no job is lost."""
    listed = []
    for table in ("jobs", "events"):
        for column in columns(table):
            for source in column.sources:
                text = odd
                for key in reversed(source.keys):
                    text = f'{{"{key}":{text}}}'
                if source.keys == ("id",):
                    continue
                listed.append(f'{{"id":"x","events":[{text}]}}' if table == "events" else '{"id":"x",' + text[1:])
    raws = [text.replace('"x"', f'"ft-{n:04}"', 1) for n, text in enumerate(listed)]
    a = Response("jobs", Memory(("[" + ",".join(raws) + "]").encode()), NOW)

    plan = deduplicate.resolve_duplicates([a], [index.scan_response(a)])
    found = flatten_tables.flatten(decoder.decode(plan.items, [a], use_arrow=use_arrow))

    assert found.jobs.num_rows == len(raws)
    for table, rows in (("jobs", found.jobs), ("events", found.events)):
        for column in tables()[table].columns:
            if column.name in rows.column_names:
                assert rows.schema.field(column.name).type == TYPES[column.type]
                rows.column(column.name).validate(full=True)
