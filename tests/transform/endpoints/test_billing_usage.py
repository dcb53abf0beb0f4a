"""The rows of a month's bill: exact, each line item once, and whatever is odd said and kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.transform.endpoints import EndpointRows
from ftetl.transform.endpoints.billing_usage import read

MONTH = "2026-07"
OBSERVED_AT = datetime(2026, 8, 3, tzinfo=UTC)
NAME = f"GET /billing/usage of {MONTH}"
TOKENS = {
    "product_name": "Fine-tuning - Training Tokens",
    "quantity": "108972",
    "unit_price": "0.00000048",
    "cost": "0.05230656",
    "pricing_dimensions": {"model": "m", "method": "sft"},
    "attributes": {},
}


def response(body: bytes) -> Response:
    return Response(NAME, Memory(body), OBSERVED_AT)


def read_body(body: bytes, month: str = MONTH) -> EndpointRows:
    found = read([(month, response(body))], "p")
    assert found.rows.schema == schema(tables()["billing_usage"])
    return found


def window(day: int, *items: Any, **keys: Any) -> dict[str, Any]:
    start, end = f"2026-07-{day:02}T00:00:00Z", f"2026-07-{day + 1:02}T00:00:00Z"
    return {"date": start[:10], "start_time": start, "end_time": end, "line_items": list(items), **keys}


def report(*windows: Any, **keys: Any) -> bytes:
    around = {
        "object": "list",
        "organization_id": "org-1",
        "billing_period": MONTH,
        "currency": "USD",
        "earliest_window_start": "2026-07-01T00:00:00Z",
        "latest_window_end": "2026-08-01T00:00:00Z",
        "next_cursor": None,
    }
    return json.dumps({**around, "data": list(windows), **keys}).encode()


def rows(found: EndpointRows, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in found.rows.to_pylist()]


def anomalies(found: EndpointRows) -> list[tuple[str, str, str | None]]:
    assert {a.job_id for a in found.anomalies} <= {MONTH}
    return [(a.path, a.kind, a.raw) for a in found.anomalies]


def test_a_line_item_is_a_row_with_its_window_and_its_report() -> None:
    item = {**TOKENS, "applied_credit": {"type": "PREPAID"}}

    found = read_body(report(window(1), window(2, TOKENS, item)))

    assert found.rows.num_rows == 2
    assert found.rows.to_pylist()[1] == {
        "project": "p",
        "billing_period": MONTH,
        "window_position": 1,
        "line_position": 1,
        "organization_id": "org-1",
        "date": "2026-07-02",
        "start_time": datetime(2026, 7, 2, tzinfo=UTC),
        "end_time": datetime(2026, 7, 3, tzinfo=UTC),
        "product_name": "Fine-tuning - Training Tokens",
        "quantity": 108972.0,
        "quantity_text": "108972",
        "unit_price": 4.8e-7,
        "unit_price_text": "0.00000048",
        "cost": Decimal("0.052306560"),
        "cost_text": "0.05230656",
        "currency": "USD",
        "applied_credit_type": "PREPAID",
        "pricing_dimensions": '{"model":"m","method":"sft"}',
        "attributes": "{}",
        "latest_window_end": datetime(2026, 8, 1, tzinfo=UTC),
        "extra": None,
        "observed_at": OBSERVED_AT,
    }
    assert rows(found, "applied_credit_type")[0] == (None,)
    assert (found.replaced, found.anomalies, found.quarantined) == ([MONTH], [], [])


NO_COST = {
    "the key has another name": {"amount": "1.50"},
    "an object": {"cost": {"amount": "1.50", "currency": "USD"}},
    "with the sign of the currency": {"cost": "$1.50"},
    "null": {"cost": None},
}


@pytest.mark.parametrize("keys", NO_COST.values(), ids=[*NO_COST])
def test_a_bill_without_any_readable_cost_is_refused_and_one_with_some_is_warned_of(keys: dict[str, Any]) -> None:
    item = {key: value for key, value in TOKENS.items() if key != "cost"} | keys

    found = read_body(report(window(1, item, item), window(2, item, item, item)))
    some = read_body(report(window(1, item, TOKENS, item), window(2, item, item, item)))

    what = f"5 of {{}} line items of the bill of {MONTH} have no readable cost"
    assert (found.rows.num_rows, found.replaced, found.refused) == (0, [], {MONTH: what.format(5)})
    assert (some.rows.num_rows, some.replaced, some.refused) == (6, [MONTH], {})
    assert [warning.startswith(what.format(6)) for warning in some.warnings] == [True]


NO_USAGE = {
    "no windows": report(earliest_window_start=None, latest_window_end=None),
    "null for the windows": b'{"object":"list","data":null,"earliest_window_start":null,"latest_window_end":null}',
    "a window without line items": report(window(1)),
    "null for the line items": report(window(1, line_items=None)),
    "no key for the line items": b'{"data":[{"date":"2026-07-01"}]}',
}


@pytest.mark.parametrize("body", NO_USAGE.values(), ids=[*NO_USAGE])
def test_a_month_without_usage_has_no_rows_and_takes_the_place_of_stored_ones(body: bytes) -> None:
    found = read_body(body)

    assert (found.rows.num_rows, found.replaced, found.anomalies, found.quarantined) == (0, [MONTH], [], [])


AMOUNTS: dict[str, tuple[str, str | None, str | None]] = {  # what came as JSON; the text and the decimal of it
    "text": ('"12.5"', "12.5", "12.5"),
    "a number": ("12.50", "12.50", "12.5"),
    "a whole number": ("7", "7", "7"),
    "a number that no double holds": ("0.1234567890123456789", "0.1234567890123456789", "0.123456789"),
    "an exponent": ('"3.75E-8"', "3.75E-8", "0.000000038"),
    "half of the last place, to even": ('"0.0000000005"', "0.0000000005", "0"),
    "money that came back": ('"-0.10"', "-0.10", "-0.1"),
    "0": ('"0"', "0", "0"),
    "the largest": ('"999999999.9999999994"', "999999999.9999999994", "999999999.999999999"),
    "null": ("null", None, None),
    "empty": ('""', None, None),
}


@pytest.mark.parametrize(("raw", "text", "amount"), AMOUNTS.values(), ids=[*AMOUNTS])
def test_an_amount_is_there_as_it_came_and_as_a_decimal(raw: str, text: str | None, amount: str | None) -> None:
    body = report(window(1, {"cost": "@"})).replace(b'"@"', raw.encode())

    found = read_body(body)

    assert rows(found, "cost_text", "cost") == [(text, amount and Decimal(amount))]
    assert found.anomalies == []


ODD_AMOUNTS: dict[str, tuple[str, str | None, tuple[str, str]]] = {  # what came; its text; kind and raw of the anomaly
    "a currency": ('"$1"', None, ("wrong_type", '"$1"')),
    "thousands": ('"1,000.00"', None, ("wrong_type", '"1,000.00"')),
    "white space": ('" 1"', None, ("wrong_type", '" 1"')),
    "a word": ('"NaN"', None, ("wrong_type", '"NaN"')),
    "not a number": ("NaN", None, ("not_finite", "NaN")),
    "infinite": ("-Infinity", None, ("not_finite", "-Infinity")),
    "a truth value": ("true", None, ("wrong_type", "true")),
    "an object": ('{"usd":"1"}', None, ("wrong_type", '{"usd":"1"}')),
    "a billion": ('"1000000000"', "1000000000", ("out_of_range", '"1000000000"')),
    "a billion when rounded": (
        '"999999999.9999999996"',
        "999999999.9999999996",
        ("out_of_range", '"999999999.9999999996"'),
    ),
    "an absurd exponent": ("1e9999", None, ("out_of_range", "1e9999")),
}


@pytest.mark.parametrize(("raw", "text", "anomaly"), ODD_AMOUNTS.values(), ids=[*ODD_AMOUNTS])
def test_an_odd_amount_is_null_and_an_anomaly(raw: str, text: str | None, anomaly: tuple[str, str]) -> None:
    body = report(window(1, {"cost": "@", "product_name": "x"})).replace(b'"@"', raw.encode())

    found = read_body(body)

    assert rows(found, "cost_text", "cost", "product_name") == [(text, None, "x")]
    assert anomalies(found) == [("data.line_items.cost", *anomaly)]


def test_more_tokens_than_a_decimal_holds_are_a_quantity() -> None:
    found = read_body(report(window(1, {"quantity": "12345678901234567", "unit_price": "0.0000000375"})))

    assert rows(found, "quantity", "quantity_text", "unit_price", "unit_price_text") == [
        (12345678901234568.0, "12345678901234567", 3.75e-8, "0.0000000375")
    ]
    assert found.anomalies == []


ODD_VALUES: dict[str, tuple[bytes, list[tuple[str, str, str | None]]]] = {
    "another currency": (report(window(1, {}, {}), currency="EUR"), [("currency", "unknown_enum", '"EUR"')]),
    "another credit": (
        report(window(1, {"applied_credit": {"type": "GIFT"}})),
        [("data.line_items.applied_credit.type", "unknown_enum", '"GIFT"')],
    ),
    "a credit that is text": (
        report(window(1, {"applied_credit": "PREPAID"})),
        [("data.line_items.applied_credit", "wrong_type", '"PREPAID"')],
    ),
    "a time without a zone": (
        report(window(1, {}, {}, end_time="2026-07-02T00:00:00")),
        [("data.end_time", "naive_time", '"2026-07-02T00:00:00"')],
    ),
    "a number as a time": (report(window(1, {}, end_time=1)), [("data.end_time", "wrong_type", "1")]),
    "NaN among the dimensions": (
        report(window(1, {"pricing_dimensions": {"x": float("nan")}})),
        [("data.line_items.pricing_dimensions.x", "not_finite", "NaN")],
    ),
    "a key twice": (
        report(window(1, {"cost": "1"})).replace(b'"cost": "1"', b'"cost":"1","cost":"1"'),
        [("data.line_items.cost", "repeated_key", None)],
    ),
    "two windows of one day": (
        report(window(1, {}), window(1, {"cost": "2"})),
        [("data", "repeated_window", '"2026-07-01T00:00:00+00:00"')],
    ),
}


@pytest.mark.parametrize(("body", "expected"), ODD_VALUES.values(), ids=[*ODD_VALUES])
def test_an_odd_value_is_an_anomaly_and_costs_no_row(body: bytes, expected: list[tuple[str, str, str | None]]) -> None:
    found = read_body(body)

    assert anomalies(found) == expected
    assert found.rows.num_rows == sum(len(w["line_items"]) for w in json.loads(body)["data"])
    assert found.quarantined == []


def test_a_window_that_came_twice_counts_once() -> None:
    found = read_body(report(window(1, TOKENS), window(2), window(1, TOKENS)))

    assert rows(found, "window_position", "cost_text") == [(0, "0.05230656")]
    assert anomalies(found) == [("data", "duplicate_identical", '"2026-07-01T00:00:00+00:00"')]


def test_unknown_keys_are_kept_beside_the_line_item() -> None:
    item = {"cost": "1", "sku": {"id": 1}, "applied_credit": {"type": "CREDIT", "id": "c"}}

    found = read_body(report(window(1, item, {}, zone="eu"), window(2, {}), generated_at="now"))

    assert rows(found, "extra") == [
        ('{"sku":{"id":1},"applied_credit":{"id":"c"},"/data":{"zone":"eu"}}',),
        ('{"/data":{"zone":"eu"}}',),
        (None,),
    ]
    assert found.anomalies == []


REFUSED: dict[str, tuple[bytes, list[tuple[int, bytes, str]]]] = {  # a bill with one good line, and what is put aside
    "a line item that is a number": (report(window(1, TOKENS, 7)), [(0, b"7", "not_an_object")]),
    "null for a line item": (report(window(1, TOKENS, None)), [(0, b"null", "not_an_object")]),
    "a key with two values": (
        report(window(1, TOKENS, {"cost": "@"})).replace(b'{"cost": "@"}', b'{"cost":"1","cost":"2"}'),
        [(0, b'{"cost":"1","cost":"2"}', "duplicate_keys")],
    ),
    "a broken line item": (
        report(window(1, TOKENS), window(2, {"cost": "@"})).replace(b'{"cost": "@"}', b'{"cost":01}'),
        [(1, b'{"cost":01}', "broken_json")],
    ),
    "a window that is text": (report(window(1, TOKENS), "x"), [(1, b'"x"', "not_an_object")]),
    "line items that are no list": (
        b'{"data":[{"line_items":[{"cost":"0.05230656"}]},{"line_items":{"cost":"1"}}]}',
        [(1, b'{"line_items":{"cost":"1"}}', "no_list")],
    ),
    "two lists of line items": (
        b'{"data":[{"line_items":[{"cost":"0.05230656"}]},{"line_items":[],"line_items":[{"cost":"1"}]}]}',
        [(1, b'{"line_items":[],"line_items":[{"cost":"1"}]}', "duplicate_keys")],
    ),
    "a window of another month": (
        b'{"data":[{"line_items":[{"cost":"0.05230656"}]},{"date":"2026-08-01","line_items":[{"cost":"1"}]}]}',
        [(1, b'{"date":"2026-08-01","line_items":[{"cost":"1"}]}', "other_month")],
    ),
    "a window of another month in UTC": (
        b'{"data":[{"line_items":[{"cost":"0.05230656"}]},{"start_time":"2026-07-01T00:00:00+02:00"}]}',
        [(1, b'{"start_time":"2026-07-01T00:00:00+02:00"}', "other_month")],
    ),
}


@pytest.mark.parametrize(("body", "refused"), REFUSED.values(), ids=[*REFUSED])
def test_what_is_broken_is_put_aside_alone_with_its_text(body: bytes, refused: list[tuple[int, bytes, str]]) -> None:
    found = read_body(body)

    assert [(q.position, q.raw, q.rule) for q in found.quarantined] == refused
    assert {(q.source, q.job_id, q.observed_at) for q in found.quarantined} == {(NAME, None, OBSERVED_AT)}
    assert rows(found, "cost_text") == [("0.05230656",)]
    assert found.replaced == [MONTH]


UNUSABLE = {
    "that of another month": report(window(1, TOKENS), billing_period="2026-08"),
    "an array": b"[]",
    "no list": b'{"data":{}}',
    "half of it": b'{"data":[{"date":"2026-07-01"}',
    "an error": b'{"error":{"message":"no"}}',
}


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=[*UNUSABLE])
def test_a_response_that_is_no_bill_of_the_month_replaces_nothing(body: bytes) -> None:
    found = read_body(body)

    assert (found.rows.num_rows, found.replaced, found.quarantined, [*found.refused]) == (0, [], [], [MONTH])
    assert NAME in found.refused[MONTH]


def test_several_months_come_in_order() -> None:
    july, june = report(window(1, TOKENS)), report(billing_period="2026-06")

    found = read([(MONTH, response(july)), ("2026-06", response(june))], "p")

    assert (found.replaced, rows(found, "billing_period")) == (["2026-06", MONTH], [(MONTH,)])


DIGITS = st.text("0123456789", min_size=1, max_size=30)
DECIMALS = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole.lstrip('0') or '0'}{fraction}{exponent}",
    st.sampled_from(["", "-"]),
    st.text("0123456789", min_size=1, max_size=11),
    st.just("") | DIGITS.map(".{}".format),
    st.just("") | st.integers(-20, 3).map("e{}".format),
)


@given(st.lists(DECIMALS, min_size=1, max_size=8), st.booleans())
def test_amounts_are_exact(texts: list[str], are_numbers: bool) -> None:
    items = ",".join('{"cost":' + (text if are_numbers else f'"{text}"') + "}" for text in texts)

    found = read_body(f'{{"data":[{{"line_items":[{items}]}}]}}'.encode())

    exact = Context(prec=100)
    for text, (kept, cost) in zip(texts, rows(found, "cost_text", "cost"), strict=True):
        value = Decimal(text)
        assert Decimal(kept) == value
        rounded = value.quantize(Decimal("1e-9"), ROUND_HALF_EVEN, exact)
        assert cost == (rounded if abs(rounded) < 10**9 else None)
    missing = sum(cost is None for (cost,) in rows(found, "cost"))
    assert len(found.anomalies) == missing


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2026-07-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["data", "line_items", "cost", "quantity", "date", "start_time", "currency", "applied_credit",
                         "type", "product_name", "attributes", "x", "\ud800"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.sampled_from(["currency", "x", "latest_window_end"]), VALUES))
def test_every_line_item_is_a_row_or_is_put_aside(windows: list[Any], keys: dict[str, Any]) -> None:
    body = json.dumps({**keys, "data": windows}).encode()

    found = read_body(body)

    if not found.replaced:
        return
    refused = {(q.position, q.raw) for q in found.quarantined}
    clean = [w for at, w in enumerate(windows) if (at, json.dumps(w).encode()) not in refused]
    assert all(isinstance(w, dict) for w in clean)
    items = [item for w in clean for item in w.get("line_items") or []]
    again = sum(a.kind == "duplicate_identical" for a in found.anomalies)
    assert again or found.rows.num_rows == sum(isinstance(item, dict) for item in items)
