"""What a terminal shows while a run works."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ftetl.cli import progress_bar as progress_bar


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> progress_bar.ProgressBar:
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80, legacy_windows=False)
    monkeypatch.setattr(progress_bar, "Console", lambda **_: terminal)
    return progress_bar.ProgressBar()


def lines(bar: progress_bar.ProgressBar) -> list[str]:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(bar.display.get_renderable())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_what_is_received_has_no_bar_since_its_length_is_unknown(bar: progress_bar.ProgressBar) -> None:
    bar.received(1_234_567)

    (line,) = lines(bar)
    assert line.split()[0] == "receiving"
    assert "1.2 MB" in line
    assert "\u2501" not in line  # of which bars are made


def test_the_details_and_the_jobs_have_one_that_grows(bar: progress_bar.ProgressBar) -> None:
    lengths = []
    for done in (1, 5, 10):
        bar.details(done, 10)
        bar.jobs(done, 10)
        lengths += [[line.count("\u2501") for line in lines(bar)]]

    assert all(len(each) == 2 for each in lengths)
    assert lengths[0][0] <= lengths[1][0] <= lengths[2][0]
    assert "10 of 10" in lines(bar)[0]
