"""The bars: what ftetl promises about its speed, each beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.benchmarks.cases import Result

UNKNOWN = float("nan")


@dataclass(frozen=True)
class Bar:
    """A measured value and its limit; what could not be measured is missed."""

    what: str
    value: float
    limit: float
    unit: str = "x"
    least: bool = False  # whether the limit is the smallest good value, not the largest

    @property
    def held(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    def row(self) -> str:
        sign = "≥" if self.least else "≤"
        verdict = "held" if self.held else "MISSED"
        return f"| {self.what} | {sign} {self.limit:g} {self.unit} | {self.value:.2f} {self.unit} | {verdict} |"


def of_cases(results: dict[str, Result]) -> list[Bar]:
    """The bars of the cases that were run."""
    found: list[Bar] = []
    if result := results.get("50000"):
        seconds, peak = result.seconds, result.peak
        found += [
            Bar("50,000 jobs: ftetl's time by DuckDB's", _ratio(seconds, "ftetl", "duckdb"), 1.0),
            Bar("50,000 jobs: pandas' time by ftetl's", _ratio(seconds, "pandas", "ftetl"), 8, least=True),
            Bar("50,000 jobs: dlt's time by ftetl's", _ratio(seconds, "dlt", "ftetl"), 20, least=True),
            Bar("50,000 jobs: ftetl's peak memory by DuckDB's", _ratio(peak, "ftetl", "duckdb"), 0.5),
        ]
        if twice := results.get("100000"):
            ratio = _known(twice.seconds, "ftetl") / _known(seconds, "ftetl")
            found.append(Bar("twice the jobs: ftetl's time by the half's", ratio, 2.1))
    if result := results.get("4GB"):
        found.append(Bar("4 GB on disk: peak memory", _known(result.peak, "ftetl") / 1e9, 1.2, "GB"))
    return found


def _known(measure: Callable[[str], float], name: str) -> float:
    """What a contender took, or no number if it did not run to the end."""
    try:
        return measure(name)
    except KeyError:
        return UNKNOWN


def _ratio(measure: Callable[[str], float], over: str, under: str) -> float:
    return _known(measure, over) / _known(measure, under)


def table(bars: Iterable[Bar]) -> str:
    """The bars in Markdown."""
    return "\n".join(["| bar | limit | measured | |", "|---|--:|--:|---|", *(bar.row() for bar in bars)])
