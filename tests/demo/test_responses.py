"""The items of the list: the keys that the API's list has, and no events."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from ftetl.demo.responses import LIST_KEYS, list_item
from tests.demo.generator import SEED, generate_jobs


@pytest.mark.parametrize("seed", [SEED, 1, 2])
def test_a_list_item_has_no_events_and_no_key_of_the_detail(seed: int) -> None:
    for job in generate_jobs(seed):
        item = list_item(job)
        assert not item.pop("events", None)
        assert item == {key: job[key] for key in LIST_KEYS & set(job)}
        assert {"id", "status", "created_at", "updated_at"} <= set(item)


def test_list_items_show_the_lack_of_events_in_three_ways() -> None:
    jobs = generate_jobs()
    forms = Counter(json.dumps(list_item(job).get("events", "left out")) for job in jobs)

    assert set(forms) == {"[]", "null", '"left out"'}
    assert forms["[]"] > 0.7 * len(jobs)
