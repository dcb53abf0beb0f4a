"""Settings: nonsense is refused by name before anything is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ftetl.clock import iso
from ftetl.config.settings import Settings
from ftetl.errors import UsageError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"events": "all"}, "events 'all' is not known; choose one of: auto, list, none"),
        ({"quarantine": "drop"}, "quarantine 'drop' is not known; choose one of: keep, ok, fail"),
        ({"project": ""}, "the project's label"),
        ({"project": " p"}, "the project's label"),
        ({"billing_account": ""}, "the billing account is"),
        ({"billing_account_name": "a\n"}, "the billing account's name"),
        ({"project": "p\n"}, "the project's label"),
        ({"project": "p\x1b[31m"}, "the project's label"),
        ({"project": "p" * 129}, "the project's label"),
        ({"concurrency": 0}, "concurrency is less than 1"),
        ({"max_bytes": 0}, "max-bytes is less than 1"),
        ({"keep": 1}, "keep is less than 2; give 2 or more"),
        ({"deadline": 0}, "the deadline is not positive"),
        ({"deadline": float("nan")}, "the deadline is not positive"),
        ({"lock_timeout": -1.0}, "the lock-timeout is negative"),
        ({"lock_timeout": float("nan")}, "the lock-timeout is negative"),
        ({"observed_at": datetime(2026, 8, 1)}, "observed_at has no time zone"),
    ],
)
def test_nonsense_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")) as caught:
        Settings(Path("t"), **given)
    assert caught.value.exit.code == 2
    assert caught.value.next


@pytest.mark.parametrize(
    "given",
    [
        {"project": "Größe 7"},
        {"project": "p" * 128},
        {"formats": ()},
        {"formats": ("csv", "csv")},
        {"observed_at": datetime(2026, 8, 1, tzinfo=UTC)},
        {"lock_timeout": 0},
        {"deadline": 0.1},
    ],
)
def test_sense_is_not(given: dict[str, Any]) -> None:
    Settings(Path("t"), **given)


def test_the_environment_is_not_shown() -> None:
    assert "canary" not in repr(Settings(Path("t"), environ={"TOGETHER_API_KEY": "canary-0123456789"}))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 7, 2, 8, 10, 14, tzinfo=UTC),
        datetime(2026, 7, 2, 8, 10, 14),
        datetime(2026, 7, 2, 13, 55, 14, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        "2026-07-02T08:10:14Z",
        "2026-07-02T08:10:14",
        "2026-07-02T13:55:14+05:45",
    ],
)
def test_a_time_of_observation_may_be_given_in_many_ways(moment: Any) -> None:
    found = Settings.from_options("t", "demo", {"observed_at": moment}).observed_at
    assert found is not None
    assert iso(found) == "2026-07-02T08:10:14.000000Z"
    assert found.utcoffset() == timedelta(0)


def test_words_become_settings(tmp_path: Path) -> None:
    found = Settings.from_options(str(tmp_path), tmp_path / "a.json", {"formats": "csv", "api_key_file": "key"})
    assert (found.target, found.source) == (tmp_path, str(tmp_path / "a.json"))
    assert (found.formats, found.api_key_file) == (("csv",), Path("key"))
    assert Settings.from_options("t", "api", {"formats": ["csv", "parquet"]}).formats == ("csv", "parquet")
