"""Guards refuse a run whose responses were read without an error."""

from __future__ import annotations

import pytest

from ftetl.errors import ConfigError, DataError
from ftetl.pipeline import guards

TEN = {f"ft-{n}" for n in range(10)}
OTHERS = {f"ft-{n}" for n in range(100, 140)}


@pytest.mark.parametrize(
    ("known", "listed", "passes"),
    [
        (set(), set(), True),
        (set(), TEN, True),
        ({"a"}, set(), False),
        (TEN, set(), False),
        (TEN, {f"ft-{n}" for n in range(5)}, True),
        (TEN, {f"ft-{n}" for n in range(4)}, False),
        (TEN, {f"ft-{n}" for n in range(4)} | OTHERS, False),
        (TEN - {"ft-0"}, {"ft-1"}, True),
        (TEN - {"ft-0"}, OTHERS, True),
        (TEN, TEN | OTHERS, True),
    ],
)
def test_a_list_must_not_have_lost_most_jobs(known: set[str], listed: set[str], passes: bool) -> None:
    if passes:
        guards.require_not_shrunken(known, listed)
        return
    with pytest.raises(DataError, match=f"has {len(known & listed)} of the {len(known)} jobs") as caught:
        guards.require_not_shrunken(known, listed)
    assert (caught.value.exit.code, "--allow-shrink" in caught.value.next) == (65, True)


@pytest.mark.parametrize(
    ("known", "listed", "passes"),
    [
        (set(), TEN, True),
        (TEN, set(), True),  # which is the other guard's matter
        (TEN, OTHERS, False),
        (TEN, OTHERS | {"ft-1"}, True),
        (TEN - {"ft-0"}, OTHERS, True),
    ],
)
def test_a_list_must_share_a_job_with_the_known_ones(known: set[str], listed: set[str], passes: bool) -> None:
    if passes:
        guards.require_same_account(known, listed)
        return
    with pytest.raises(DataError, match="shares no job with the 10 known ones") as caught:
        guards.require_same_account(known, listed)
    assert (caught.value.exit.code, "--allow-account-change" in caught.value.next) == (65, True)


@pytest.mark.parametrize(
    ("stored", "service", "project", "now"),
    [
        ({}, None, "p", {"project": "p", "service": None}),
        ({}, "together", "p", {"project": "p", "service": "together"}),
        ({"project": "p", "service": None}, "together", "p", {"project": "p", "service": "together"}),
        ({"project": "p", "service": "together"}, None, "p", {"project": "p", "service": "together"}),
        ({"project": "p", "service": "together"}, "together", "p", {"project": "p", "service": "together"}),
        ({"project": "p", "service": "together"}, "demo", "p", None),
        ({"project": "p", "service": None}, None, "q", None),
        ({"project": "p", "service": "demo"}, "demo", "q", None),
    ],
)
def test_a_target_belongs_to_one_project_of_one_service(
    stored: dict[str, str | None], service: str | None, project: str, now: dict[str, str | None] | None
) -> None:
    if now is not None:
        assert guards.check_identity(stored, service, project) == now
        return
    with pytest.raises(ConfigError, match="belongs to") as caught:
        guards.check_identity(stored, service, project)
    assert caught.value.exit.code == 78
