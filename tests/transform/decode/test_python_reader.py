"""The Python reader: every value that its field cannot hold becomes null, and an anomaly with its raw text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.raw import strict_json
from ftetl.transform.decode import python_reader
from ftetl.transform.decode.source_schema import Leaf, Node, other_kind_key

SHAPE = Node(
    {
        "text": Leaf("string"),
        "whole": Leaf("integer"),
        "price": Leaf("money"),
        "real": Leaf("number"),
        "flag": Leaf("boolean"),
        "word_or_flag": Leaf("string", "boolean"),
        "count_or_word": Leaf("integer", "string"),
        "json": Leaf("string", is_json=True),
        "inner": Node({"text": Leaf("string"), "deeper": Node({"whole": Leaf("integer")})}),
        "rows": Node({"text": Leaf("string")}, is_list=True),
    }
)
AnomalyTuple = tuple[str, str, str, int]


def read(text: str) -> tuple[dict[str, Any], list[AnomalyTuple]]:
    anomalies: list[AnomalyTuple] = []
    fields = python_reader.read_object(
        SHAPE, strict_json.parse(text.encode()), lambda *anomaly: anomalies.append(anomaly)
    )
    return fields, anomalies


# For each kind: what it takes, and what it does not and why. One value with one kind, exhaustively.
WHOLE = {
    "0": 0,
    "-1": -1,
    "-0": 0,
    "1.0": 1,
    "1e3": 1000,
    "-2.5e1": -25,
    "10e-1": 1,
    "0e9999": 0,
    "0.0e-9999": 0,
    "1.00000000000000000000000000000000": 1,
    "9223372036854775807": 2**63 - 1,
}
TAKEN: dict[str, dict[str, Any]] = {
    "text": {'"x"': "x", '""': "", '"\\ud83d\\ude00"': "\U0001f600", '"\\u0000"': "\0", '"1"': "1"},
    "whole": {**WHOLE, "-9223372036854775808": -(2**63), "9007199254740993": 2**53 + 1, "9007199254740992.0": 2**53},
    "price": {"0": 0, "-0": 0, "-1": -1, "9007199254740993": 2**53 + 1, "9223372036854775807": 2**63 - 1},
    "real": {
        "0": 0.0,
        "1": 1.0,
        "1.50": 1.5,
        "1e-400": 0.0,
        "-1E2": -100.0,
        "9007199254740992": 2.0**53,
        "1e300": 1e300,
        "-10000000000000000000000": -1e22,
    },
    "flag": {"true": True, "false": False},
    "json": {"[]": "[]", '{"a":1.50}': '{"a":1.50}', '"x"': '"x"', "0": "0", "[ 1 , null ]": "[1,null]"},
}
NOT_TAKEN: dict[str, dict[str, str]] = {
    "text": dict.fromkeys(("0", "1.5", "true", "[]", "{}", "NaN", '["x"]'), "wrong_type"),
    "whole": {
        **dict.fromkeys(
            (
                '"1"',
                '""',
                "true",
                "false",
                "[]",
                "{}",
                "1.5",
                "1e-1",
                "0.1",
                "1e-400",
                "0.99999999999999999",
                "4503599627370497.5",
                "1e-9999999999999999999",
            ),
            "wrong_type",
        ),
        **dict.fromkeys(
            (
                "9223372036854775808",
                "-9223372036854775809",
                "1e400",
                "-1e400",
                "1" * 5000,
                "9007199254740993.0",
                "-9007199254740993.0",
                "9007199254740992.5",
                "1e17",
                "1e9999999999999999999",
            ),
            "out_of_range",
        ),
        **dict.fromkeys(("NaN", "Infinity", "-Infinity"), "not_finite"),
    },
    "price": {
        **dict.fromkeys(("4.0", "-4.00", "0.0", "1.5", "4e0", "4E9", "1e-1", "1e400", '"4"', "true"), "wrong_type"),
        **dict.fromkeys(("9223372036854775808", "1" * 5000), "out_of_range"),
        **dict.fromkeys(("NaN", "Infinity", "-Infinity"), "not_finite"),
    },
    "real": {
        **dict.fromkeys(('"1"', '"NaN"', "true", "[]", "{}"), "wrong_type"),
        **dict.fromkeys(("1e400", "-1e400", "1" * 5000), "out_of_range"),
        **dict.fromkeys(("NaN", "Infinity", "-Infinity"), "not_finite"),
    },
    "flag": dict.fromkeys(("0", "1", '"true"', '""', "[]", "{}", "1.0", "NaN"), "wrong_type"),
    "inner": dict.fromkeys(("0", '"x"', "true", "[]", "[{}]", "NaN"), "wrong_type"),
    "rows": dict.fromkeys(("0", '"x"', "true", "{}", "NaN"), "wrong_type"),
}


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, values in TAKEN.items() for text in values])
def test_a_value_of_the_kind_is_taken(key: str, text: str) -> None:
    fields, anomalies = read(f'{{"{key}":{text}}}')

    assert fields == {key: TAKEN[key][text]}
    assert type(fields[key]) is type(TAKEN[key][text])
    assert anomalies == []


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, values in NOT_TAKEN.items() for text in values])
def test_a_value_of_another_kind_becomes_null_and_an_anomaly_with_its_raw_text(key: str, text: str) -> None:
    fields, anomalies = read(f'{{"{key}":{text},"other":1}}')

    assert fields == {}
    assert anomalies == [(key, NOT_TAKEN[key][text], text, 0)]


@pytest.mark.parametrize(
    "text", ["9007199254740993", "-9007199254740993.0", "1" * 40, "1" * 300, "1.00000000000000001e16"]
)
def test_a_large_real_that_no_double_holds_is_rounded_with_an_anomaly(text: str) -> None:
    assert read(f'{{"real":{text}}}') == ({"real": float(text)}, [("real", "rounded", text, 0)])


@pytest.mark.parametrize("key", SHAPE.children)
@pytest.mark.parametrize("text", ["{}", '{"KEY":null}'])
def test_missing_and_null_are_null_without_an_anomaly(key: str, text: str) -> None:
    assert read(text.replace("KEY", key)) == ({}, [])


UNIONS: dict[str, tuple[dict[str, Any], list[AnomalyTuple]]] = {
    '{"word_or_flag":"auto"}': ({"word_or_flag": "auto"}, []),
    '{"word_or_flag":true}': ({other_kind_key("word_or_flag"): True}, []),
    '{"word_or_flag":1}': ({}, [("word_or_flag", "wrong_type", "1", 0)]),
    '{"word_or_flag":[true]}': ({}, [("word_or_flag", "wrong_type", "[true]", 0)]),
    '{"count_or_word":8}': ({"count_or_word": 8}, []),
    '{"count_or_word":8.0}': ({"count_or_word": 8}, []),
    '{"count_or_word":"max"}': ({other_kind_key("count_or_word"): "max"}, []),
    '{"count_or_word":true}': ({}, [("count_or_word", "wrong_type", "true", 0)]),
    '{"count_or_word":8.5}': ({}, [("count_or_word", "wrong_type", "8.5", 0)]),
    '{"count_or_word":"\\ud800"}': (
        {other_kind_key("count_or_word"): "\ufffd"},
        [("count_or_word", "lone_surrogate", '"\\ud800"', 0)],
    ),
}


@pytest.mark.parametrize("text", UNIONS)
def test_a_field_of_two_kinds_takes_both(text: str) -> None:
    assert read(text) == UNIONS[text]


def test_anomalies_of_nested_values_have_their_path() -> None:
    fields, anomalies = read('{"inner":{"text":1,"deeper":{"whole":"x"},"new":1},"new":{"text":1}}')

    assert fields == {"inner": {"deeper": {}}}
    assert anomalies == [("inner.text", "wrong_type", "1", 0), ("inner.deeper.whole", "wrong_type", '"x"', 0)]


def test_items_keep_their_places_whatever_they_are() -> None:
    fields, anomalies = read('{"rows":[{"text":"a"},null,5,{"text":6},[],{}]}')

    assert fields == {"rows": [{"text": "a"}, None, {}, {}, {}, {}]}
    # The null becomes an anomaly when it is flattened, after both readers.
    assert anomalies == [
        ("rows", "wrong_type", "5", 2),
        ("rows.text", "wrong_type", "6", 3),
        ("rows", "wrong_type", "[]", 4),
    ]


CLEANED: dict[str, tuple[str, list[AnomalyTuple]]] = {
    '{"a":[1.50,"x",null,true]}': ('{"a":[1.50,"x",null,true]}', []),
    "[NaN,[Infinity]]": ("[null,[null]]", [("p", "not_finite", "NaN", 3), ("p", "not_finite", "Infinity", 3)]),
    '{"a":{"b":-Infinity}}': ('{"a":{"b":null}}', [("p.a.b", "not_finite", "-Infinity", 3)]),
    '"\\ud800"': ('"\ufffd"', [("p", "lone_surrogate", '"\\ud800"', 3)]),
    '{"\\ud800":1}': ('{"\ufffd":1}', [("p.\ufffd", "lone_surrogate", '"\\ud800"', 3)]),
    '{"\\ud800":1,"\ufffd":2}': ('{"\ufffd":2}', [("p.\ufffd", "lone_surrogate", '{"\\ud800":1}', 3)]),
    '"NaN"': ('"NaN"', []),
}


@pytest.mark.parametrize("text", CLEANED)
def test_what_json_cannot_hold_is_replaced_with_an_anomaly(text: str) -> None:
    anomalies: list[AnomalyTuple] = []

    fields = python_reader.clean_json(
        strict_json.parse(text.encode()), lambda *anomaly: anomalies.append(anomaly), "p", 3
    )

    assert (strict_json.compact_json(fields), anomalies) == CLEANED[text]


def test_a_path_at_the_top_has_no_dot() -> None:
    anomalies: list[AnomalyTuple] = []
    python_reader.clean_json(
        {"a": strict_json.NumberText("NaN"), "": strict_json.NumberText("NaN")},
        lambda *anomaly: anomalies.append(anomaly),
    )

    assert [path for path, *_ in anomalies] == ["a", ""]


@given(st.integers(-(2**70), 2**70))
def test_whole_numbers_are_exact_or_out_of_range(number: int) -> None:
    fields, anomalies = read(f'{{"whole":{number}}}')

    if -(2**63) <= number < 2**63:
        assert (fields, anomalies) == ({"whole": number}, [])
    else:
        assert (fields, anomalies) == ({}, [("whole", "out_of_range", str(number), 0)])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_reals_are_the_nearest_double(number: float) -> None:
    assert read(f'{{"real":{number!r}}}') == ({"real": number}, [])
