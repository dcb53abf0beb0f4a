"""Work side by side: each item once, few results ahead, and nobody waits for what hangs."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from ftetl.clock import Deadline
from ftetl.extract.worker_pool import Group, map_in_groups, map_unordered


def forever() -> float:
    return 60.0


@pytest.mark.parametrize(("items", "threads"), [(0, 8), (1, 8), (5, 1), (200, 8)])
def test_each_item_is_processed_once(items: int, threads: int) -> None:
    done: Counter[int] = Counter()

    assert sorted(map_unordered(range(items), lambda n: done.update([n]) or n * 2, threads=threads, left=forever)) == [
        n * 2 for n in range(items)
    ]
    assert done == Counter(range(items))


def test_an_exception_of_a_worker_is_raised_to_the_caller_and_stops_all() -> None:
    done: Counter[int] = Counter()

    def work(number: int) -> int:
        done.update([number])
        if number == 3:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError):
        list(map_unordered(range(1000), work, threads=2, left=forever))
    assert len(done) < 20


def test_finished_results_are_returned_before_the_exception() -> None:
    held = threading.Event()

    def work(number: int) -> int:
        if number == 3:
            held.wait(10)
            raise KeyError(number)
        if number == 2:
            held.set()
        return number

    done: list[int] = []
    with pytest.raises(KeyError):
        done.extend(map_unordered(range(4), work, threads=4, left=forever))

    assert sorted(done) == [0, 1, 2]


def test_few_results_are_computed_ahead_and_none_after_the_caller_stops() -> None:
    done: Counter[int] = Counter()
    results = map_unordered(range(1000), lambda n: done.update([n]) or n, threads=2, left=forever)

    next(results)
    results.close()
    ended([t for t in threading.enumerate() if t.name.startswith("ftetl-worker")])

    assert len(done) <= 3 * 2


def test_a_hanging_worker_is_not_waited_for() -> None:
    hang = threading.Event()
    deadline = Deadline(2.0)

    def work(number: int) -> int:
        if number == 1:
            hang.wait(60)
        return number

    try:
        assert sorted(map_unordered(range(4), work, threads=2, left=deadline.left)) == [0, 2, 3]
    finally:
        hang.set()


def ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_results_that_are_ready_together_come_as_one_group() -> None:
    results = map_in_groups(range(4), lambda n: n, threads=4, left=forever)
    groups = [next(results)]
    ended([t for t in threading.enumerate() if t.name.startswith("ftetl-worker")])
    groups += results

    assert sorted(number for group in groups for number in group) == [*range(4)]
    assert len(groups) <= 2


@pytest.mark.parametrize(
    ("most", "total", "longest"), [(7, 10**9, 7), (1000, 50, 6), (1000, 10**9, 200), (1, 0, 1)], ids=str
)
def test_a_group_is_bounded_by_its_results_and_by_their_sizes(most: int, total: int, longest: int) -> None:
    group = Group(most, lambda number: 10, total)
    groups = [*map_in_groups(range(200), lambda n: n, threads=4, left=forever, group=group)]

    assert sorted(number for found in groups for number in found) == [*range(200)]
    assert max(map(len, groups)) <= longest


def test_no_more_than_a_group_waits_to_be_taken() -> None:
    done: Counter[int] = Counter()
    group = Group(5, lambda _: 0, 0)
    results = map_in_groups(range(1000), lambda n: done.update([n]) or n, threads=3, left=forever, group=group)

    taken = len(next(results))
    results.close()
    ended([t for t in threading.enumerate() if t.name.startswith("ftetl-worker")])

    assert len(done) <= taken + 5 + 3


def test_what_is_ready_is_taken_although_the_group_is_not_full() -> None:
    hang = threading.Event()
    group = Group(64, lambda _: 0, 0)
    results = map_in_groups(
        range(4), lambda n: hang.wait(60) and n if n == 3 else n, threads=4, left=forever, group=group
    )

    found: list[int] = []
    while len(found) < 3:
        found += next(results)
    hang.set()

    assert sorted(found + [n for rest in results for n in rest]) == [0, 1, 2, 3]
