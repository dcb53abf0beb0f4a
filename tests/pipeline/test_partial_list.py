"""A list that shows a part of the jobs must never make the others disappear; jobs that were deleted may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.errors import DataError, UsageError
from ftetl.pipeline.export import rebuild
from ftetl.run_report import Report
from tests.cli.program import Answer, answering

Job = dict[str, Any]
START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def job(number: int, **more: Any) -> Job:
    made = (START + timedelta(days=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    price = 4_000_000_000 + number
    return {
        "id": f"ft-{number:04}",
        "status": "completed",
        "created_at": made,
        "updated_at": made,
        "user_id": "u1",
        "total_price": price,
    } | more


def jobs(*numbers: int, **more: Any) -> list[Job]:
    return [job(number, **more) for number in numbers]


def saved(folder: Path, document: Any, name: str = "list.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return path


class Target:
    """A target and the list that it knows."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.day = folder, folder / "t", 0

    def export(self, document: Any, **settings: Any) -> Report:
        self.day += 1
        source = saved(self.folder, document)
        observed_at = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(days=self.day)
        return ftetl.export(self.path, source=source, observed_at=observed_at, **settings)

    def present(self) -> set[int]:
        rows = ftetl.open(self.path).arrow("jobs").to_pylist()
        return {int(row["job_id"][3:]) for row in rows if row["present"]}

    def refuses(self, document: Any, code: str = "FTETL-R46", **settings: Any) -> DataError:
        before = self.present()
        with pytest.raises(DataError) as caught:
            self.export(document, **settings)
        assert (caught.value.code, caught.value.exit.code) == (code, 65)
        assert self.present() == before
        return caught.value


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


@pytest.mark.parametrize(
    ("known", "kept"),
    [(30, 20), (15, 10), (35, 25), (70, 50), (150, 100), (260, 200), (400, 250), (700, 500), (1001, 1000)],
)
def test_a_list_of_a_pages_length_without_exactly_the_oldest_is_a_page(target: Target, known: int, kept: int) -> None:
    target.export({"data": jobs(*range(known))})
    page = {"data": jobs(*range(known - kept, known))}

    error = target.refuses(page)

    verb = "is" if known - kept == 1 else "are"
    assert f"{known - kept:,} of the {known:,} known jobs {verb} missing from the list of {kept:,}" in error.what
    assert "--allow-shrink" in error.next
    assert target.export(page, allow_shrink=True).vanished == known - kept


def test_a_list_as_long_as_before_without_exactly_the_oldest_is_a_page(target: Target) -> None:
    target.export({"data": jobs(*range(37))})

    target.refuses({"data": jobs(*range(1, 38))})

    assert target.export({"data": jobs(*range(38))}).vanished == 0


@pytest.mark.parametrize(
    ("known", "listed", "warns"),
    [
        pytest.param(range(60), range(13, 60), True, id="the oldest were deleted"),
        pytest.param(range(60), range(47), False, id="the newest were deleted"),
        pytest.param(range(12), [*range(11), 12], False, id="the newest was deleted, and one more was started"),
        pytest.param(range(10), [*range(9), 10], False, id="the same, and the list has a page's length"),
        pytest.param(range(3), [1, 2, 3], True, id="as long as before, but too short for a page"),
        pytest.param(range(20), range(20), False, id="nothing is missing"),
        pytest.param(range(15), [*range(15), *range(90, 95)], False, id="a page's length, and all are there"),
    ],
)
def test_deleted_jobs_are_gone(target: Target, known: Sequence[int], listed: Sequence[int], warns: bool) -> None:
    target.export({"data": jobs(*known)})

    report = target.export({"data": jobs(*listed)})

    assert report.vanished == len(set(known) - set(listed))
    assert target.present() == set(listed)
    assert any("exactly the oldest" in line for line in report.warnings) is warns


@pytest.mark.parametrize(("known", "kept"), [(30, 20), (11, 10), (260, 200)])
def test_a_list_of_a_pages_length_without_exactly_the_newest_is_a_page(target: Target, known: int, kept: int) -> None:
    target.export({"data": jobs(*range(known))})

    error = target.refuses({"data": jobs(*range(kept))})

    verb = "is" if known - kept == 1 else "are"
    assert error.what == (
        f"{known - kept} of the {known} known jobs {verb} missing from the list of {kept}, exactly the newest: "
        "it looks like one page of several; nothing was committed"
    )
    assert target.export({"data": jobs(*range(kept))}, allow_shrink=True).vanished == known - kept


@pytest.mark.parametrize(
    ("listed", "warning"),
    [
        pytest.param([0, *range(11, 30)], "10 of the 30 known jobs are missing from the list of 20", id="some"),
        pytest.param([*range(5, 25)], "10 of the 30 known jobs are missing from the list of 20", id="at both ends"),
        pytest.param([*range(14), *range(15, 31)], "1 of the 30 known jobs is missing from the list of 30", id="one"),
        pytest.param([*range(14), *range(15, 30)], None, id="not a page's length"),
    ],
)
def test_a_list_of_a_pages_length_that_lacks_other_jobs_is_told(
    target: Target, listed: Sequence[int], warning: str | None
) -> None:
    target.export({"data": jobs(*range(30))})

    report = target.export({"data": jobs(*listed)})

    page = "which is the length of a page; if they were not deleted, the list is one page of several"
    assert report.warnings == ((f"{warning}, {page}",) if warning else ())
    assert target.present() == {*listed}


OLDER = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize("listed", [range(10, 30), range(10, 25), range(5, 25)])
@pytest.mark.parametrize("observed_at", [OLDER, datetime(2026, 10, 1, 23, 59, 59, 999_600, tzinfo=UTC)])
def test_an_older_page_is_refused_as_well(target: Target, listed: Sequence[int], observed_at: datetime) -> None:
    """An older list may lack newer jobs, and never the oldest."""
    target.export({"data": jobs(*range(30))})
    before = target.present()
    source = saved(target.folder, {"data": jobs(*listed)}, "older.json")

    if len(listed) == 15:  # no page's length
        assert ftetl.export(target.path, source=source, observed_at=observed_at).vanished == 0
        return
    with pytest.raises(DataError) as caught:
        ftetl.export(target.path, source=source, observed_at=observed_at)

    assert (caught.value.code, caught.value.exit.code, target.present()) == ("FTETL-R46", 65, before)
    assert f"{listed[0]} of the {listed[-1] + 1} known jobs are missing from the list of 20, exactly the oldest" in (
        caught.value.what
    )
    assert ftetl.export(target.path, source=source, observed_at=observed_at, allow_shrink=True).vanished == 0


NEWEST = datetime(2026, 10, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("observed_at", "listed", "warning"),
    [
        pytest.param(OLDER, 20, "at 2026-09-01T00:00:00.000000Z, before the newest list ({})", id="older"),
        pytest.param(OLDER, 30, "at 2026-09-01T00:00:00.000000Z, before the newest list ({})", id="older, the same"),
        pytest.param(
            NEWEST - timedelta(microseconds=400),
            20,
            "at 2026-10-01T23:59:59.999600Z, before the newest list ({})",
            id="half a millisecond older",
        ),
        pytest.param(NEWEST, 20, "at 2026-10-02T00:00:00.000000Z, like the newest list", id="as new"),
        pytest.param(NEWEST, 30, None, id="the same once more"),
    ],
)
def test_a_list_that_is_not_the_newest_is_named(
    target: Target, observed_at: datetime, listed: int, warning: str | None
) -> None:
    target.export({"data": jobs(*range(30))})
    source = saved(target.folder, {"data": jobs(*range(listed))}, "older.json")

    report = ftetl.export(target.path, source=source, observed_at=observed_at)

    when = warning.format("2026-10-02T00:00:00.000000Z") if warning else ""
    expected = f"older.json was received {when}: it adds, but makes no job missing"
    assert (report.exit_code, report.vanished) == (0, 0)
    assert report.warnings == ((expected,) if warning else ())


def test_an_older_list_of_another_account_is_refused(target: Target) -> None:
    target.export({"data": jobs(*range(30))})
    source = saved(target.folder, {"data": jobs(*range(100, 107))}, "older.json")

    with pytest.raises(DataError) as caught:
        ftetl.export(target.path, source=source, observed_at=OLDER)

    assert (caught.value.code, target.present()) == ("FTETL-R48", {*range(30)})


def test_jobs_without_a_time_or_of_one_time_have_no_order(target: Target) -> None:
    target.export({"data": jobs(*range(12), created_at="2026-03-01T00:00:00Z")})
    assert target.export({"data": jobs(*range(2, 12), created_at="2026-03-01T00:00:00Z")}).vanished == 2


def test_an_array_is_no_whole_list_unless_that_is_said(target: Target) -> None:
    target.export({"data": jobs(*range(30))})

    report = target.export(jobs(*range(7, 30)))

    assert (report.vanished, report.exit_code, target.present()) == (0, 0, {*range(30)})
    assert any("7 known jobs are not in the array" in line and "--whole" in line for line in report.warnings)
    assert target.export(jobs(*range(7, 30)), whole=True).vanished == 7
    assert target.present() == {*range(7, 30)}


def test_an_array_that_is_said_to_be_whole_may_still_be_a_page(target: Target) -> None:
    """`tg fine-tuning list --json` prints the newest 20, and `--whole` may stand in a crontab."""
    target.export({"data": jobs(*range(30))})

    target.refuses(jobs(*range(10, 30)), whole=True)

    assert target.export(jobs(*range(10, 30)), whole=True, allow_shrink=True).vanished == 10


@pytest.mark.parametrize(("listed", "code"), [([], "FTETL-R47"), (range(100, 120), "FTETL-R48")])
def test_an_array_of_nothing_or_of_another_account_is_refused(target: Target, listed: Any, code: str) -> None:
    target.export({"data": jobs(*range(30))})

    target.refuses(jobs(*listed), code)


@pytest.mark.parametrize(("document", "option"), [([], "--whole and --allow-shrink"), ({"data": []}, "--allow-shrink")])
def test_an_empty_list_names_the_options_that_accept_it(target: Target, document: Any, option: str) -> None:
    target.export({"data": jobs(*range(3))})

    error = target.refuses(document, "FTETL-R47")

    assert error.next == f"if they are really gone, run again with {option}"
    assert target.export(document, whole=document == [], allow_shrink=True).vanished == 3


def test_a_rebuild_knows_which_array_was_said_to_be_whole(target: Target) -> None:
    target.export({"data": jobs(*range(30))})
    for number, settings in enumerate(({}, {"whole": True})):
        source = saved(target.folder, jobs(*range(3 + number, 40)), f"array{number}.json")
        ftetl.export(target.path, source=source, observed_at=datetime(2026, 11, 1 + number, tzinfo=UTC), **settings)
    before = ftetl.open(target.path).arrow("jobs")

    rebuild(target.path)

    assert ftetl.open(target.path).arrow("jobs").equals(before)
    assert target.present() == {*range(4, 40)}


def test_the_list_of_a_key_of_narrower_scope_is_refused(target: Target) -> None:
    mine, theirs = jobs(*range(0, 40, 2)), jobs(*range(1, 41, 2), user_id="u2")
    target.export({"data": mine + theirs + jobs(50, user_id="u3")})

    error = target.refuses({"data": mine + jobs(50, user_id="u3")})

    assert "all jobs of some users" in error.what
    assert target.export({"data": mine + jobs(50, user_id="u3") + theirs[:1]}).vanished == 19


@pytest.mark.parametrize(("status", "refused"), [("running", True), ("error", False)])
def test_a_filtered_list_is_refused_and_a_clean_up_is_told(target: Target, status: str, refused: bool) -> None:
    done, rest = jobs(*range(0, 40, 2)), jobs(*range(1, 13, 2), status=status)
    target.export({"data": done + rest})

    if refused:
        assert "filtered" in target.refuses({"data": done}).what
    else:
        report = target.export({"data": done})
        assert report.vanished == 6
        assert any("filtered" in line for line in report.warnings)


def test_few_jobs_of_one_status_are_simply_gone(target: Target) -> None:
    target.export({"data": jobs(*range(0, 42, 2)) + jobs(1, 3, status="running")})

    report = target.export({"data": jobs(*range(0, 42, 2))})

    assert (report.vanished, report.warnings) == (2, ())


MANY = jobs(*range(30))


def test_one_unreadable_file_of_several_makes_no_job_missing(target: Target) -> None:
    target.export({"data": MANY})
    folder = target.folder / "pages"
    saved(folder, {"data": MANY[:15]}, "a.json")
    saved(folder, json.dumps({"data": MANY[15:]}).encode()[:-50], "b.json")

    with pytest.raises(DataError, match="ends in the middle") as caught:
        ftetl.export(target.path, source=folder)
    assert "--skip-broken" in caught.value.next
    report = ftetl.export(target.path, source=folder, skip_broken=True)

    assert (report.exit_code, report.vanished, target.present()) == (3, 0, {*range(30)})


def test_of_several_responses_none_can_be_said_to_be_whole(target: Target) -> None:
    target.export({"data": MANY})
    folder = target.folder / "pages"
    saved(folder, {"data": MANY[:15]}, "a.json")
    saved(folder, {"data": MANY[15:]}, "b.json")
    lines = saved(target.folder, b"\n".join(json.dumps({"data": part}).encode() for part in (MANY[:15], MANY[15:])))

    for source in (folder, lines):
        with pytest.raises(UsageError, match="one of several"):
            ftetl.export(target.path, source=source, whole=True)
        assert ftetl.export(target.path, source=source).vanished == 0


HEADERS = [
    {"Link": '<https://api.example/v1/fine-tunes?after=x>; rel="next"'},
    {"Link": '<https://a/1>; rel="first", <https://a/2>; rel=next'},
    {"link": "<https://a/2>;REL='prev next'"},
    {"X-Next-Page": "2"},
    {"X-Next-Cursor": "abc"},
    {"X-Has-More": "true"},
    {"X-Total-Count": "31"},
    {"Content-Range": "items 0-29/400"},
]
HARMLESS = [
    {"Link": '<https://a/1>; rel="first", <https://a/1>; rel="last"'},
    {"Link": '<https://a/style.css>; rel="stylesheet"; title="next"'},
    {"X-Next-Page": ""},
    {"X-Has-More": "false"},
    {"X-Total-Count": "30"},
    {"Content-Range": "items 0-29/30"},
    {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "29"},
    {"ETag": '"next"'},
]


@pytest.mark.parametrize(("headers", "refused"), [*((h, True) for h in HEADERS), *((h, False) for h in HARMLESS)])
def test_a_header_that_tells_of_more_jobs_refuses_the_list(
    target: Target, headers: dict[str, str], refused: bool
) -> None:
    target.export({"data": jobs(*range(37))})
    answer = Answer(body=json.dumps({"data": jobs(*range(7, 37))}).encode(), headers=headers)
    with answering(answer) as url:
        settings = {"base_url": url, "events": "none", "environ": {"TOGETHER_API_KEY": demo.server.DEFAULT_KEY}}
        if not refused:
            assert ftetl.export(target.path, **settings).vanished == 7
            return
        with pytest.raises(DataError) as caught:
            ftetl.export(target.path, **settings)
    assert (caught.value.code, target.present()) == ("FTETL-R46", {*range(37)})


PARTIAL = Path(__file__).parents[1] / "data" / "partial"


def test_the_newest_20_jobs_of_the_vendors_command_line(tmp_path: Path) -> None:
    target = tmp_path / "t"
    ftetl.export(target, source=PARTIAL / "list_30.json", observed_at="2026-10-01")

    report = ftetl.export(target, source=PARTIAL / "B_newest_20_bare_array.json", observed_at="2026-10-02")
    with pytest.raises(DataError) as caught:
        ftetl.export(target, source=PARTIAL / "B_newest_20_envelope.json", observed_at="2026-10-03")

    with pytest.raises(DataError) as older:
        ftetl.export(target, source=PARTIAL / "B_newest_20_envelope.json", observed_at="2026-09-30")

    assert (report.exit_code, report.vanished) == (0, 0)
    assert (caught.value.code, older.value.code) == ("FTETL-R46", "FTETL-R46")
    assert ftetl.open(target).arrow("jobs").column("present").to_pylist() == [True] * 30
