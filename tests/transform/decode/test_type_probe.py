"""The type probe finds the jobs that have a value of another kind than the schema's."""

from __future__ import annotations

import pytest

from ftetl.transform.decode import type_probe

PLAIN = [
    '"status":"running"',
    '"status":null',
    '"status":""',
    '"n_epochs":3,"n_epochs":4',
    '"learning_rate":5',
    '"learning_rate":1e-05',
    '"batch_size":"max"',
    '"batch_size":16',
    '"train_on_inputs":true',
    '"train_on_inputs":"auto"',
    '"training_type":{"type":"Lora","lora_r":8}',
    '"training_type":null',
    '"events":null',
    '"events":[]',
    '"events":[{"type":"JOB_START","step":1,"new":[1,"x"]},null]',
    '"new":{"status":5}',
]
MISTYPED = [
    '"status":5',
    '"n_epochs":"3"',
    '"n_epochs":1500.0',
    '"n_epochs":1e3',
    '"total_price":4.0',
    '"train_price":4e9',
    '"n_epochs":true',
    '"n_epochs":9223372036854775808',
    '"learning_rate":"fast"',
    '"learning_rate":NaN',
    '"learning_rate":1e400',
    '"batch_size":false',
    '"train_on_inputs":1',
    '"training_type":"Lora"',
    '"training_type":{"lora_r":"8"}',
    '"events":{}',
    '"events":[{"step":1.5}]',
    '"events":["x"]',
    '"status":"\\ud800"',
    '"status":',
]


@pytest.mark.parametrize("text", PLAIN)
def test_a_value_of_the_declared_kind_is_not_found(text: str) -> None:
    assert mistyped([text]) == set()


@pytest.mark.parametrize("text", MISTYPED)
def test_a_value_of_another_kind_is_found(text: str) -> None:
    assert mistyped([text]) == {0}


def test_every_mistyped_job_is_found() -> None:
    both = [text for pair in zip(PLAIN, MISTYPED, strict=False) for text in pair]

    assert mistyped(both) == {n for n in range(len(both)) if n % 2}


def mistyped(texts: list[str]) -> set[int]:
    return type_probe.find_mistyped(b'{"id":"ft-%d",%s}' % (n, text.encode()) for n, text in enumerate(texts))
