"""The cases of the suite, and how one is run: contenders in turn, one table.

Every answer has the real wire's shape: event types in upper case, fractions of a second trimmed, keys left out.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.measure import RIVALS, Facts, FailedError, Run, made, run

CONTENDERS = ("ftetl", *RIVALS)
FAST = ("ftetl", "duckdb", "polars")  # minutes, and tens of GB, are left to who asks for them
ALONE = ("ftetl",)
LACKS = {
    "duckdb": "stops at another type or a key twice; loses unknown keys; no checks, no history",
    "polars": "stops at another type; loses unknown keys and all but one of equal keys; no checks, no history",
    "pandas": "types follow the values; true beside text is made text by hand; no checks, no history",
    "dlt": "a union becomes two columns; ids of rows are random; no contract",
}


@dataclass(frozen=True)
class Case:
    """One answer, and who reads it; the rivals read `.ndjson` in any case."""

    name: str
    jobs: int
    events: int = 20  # of each job
    contenders: tuple[str, ...] = ALONE
    form: str = "ndjson"
    odd: float = 0  # per cent of the jobs

    @property
    def title(self) -> str:
        jobs = f"{self.jobs:,} job{'s' * (self.jobs != 1)} of {self.events:,} events"
        return f"{jobs}, {self.odd:g} % odd" if self.odd else jobs

    def scaled(self, scale: float) -> Case:
        """The same with fewer jobs; of a single job, with fewer events."""
        if self.jobs == 1:
            return replace(self, events=max(20, round(self.events * scale)))
        return replace(self, jobs=max(1, round(self.jobs * scale)))

    def file(self, scratch: Path, form: str) -> Path:
        odd = f"-{self.odd:g}-odd" if self.odd else ""
        return scratch / f"{self.jobs}x{self.events}{odd}.{form}"

    def answer(self, scratch: Path, form: str) -> tuple[Path, Facts]:
        """The file, and what is in it."""
        file = self.file(scratch, form)
        return file, made(file, self.jobs, self.events, self.odd)


CASES = (
    Case("100", 100, contenders=CONTENDERS),
    Case("1000", 1_000, contenders=CONTENDERS),
    Case("10000", 10_000, contenders=CONTENDERS),
    Case("50000", 50_000, contenders=CONTENDERS),
    Case("100000", 100_000, contenders=FAST),
    Case("no-events", 50_000, events=0, contenders=FAST),  # pandas and dlt end for want of the second table
    Case("one-job", 1, events=1_000_000, contenders=(*FAST, "pandas")),
    Case("json", 50_000, form="json"),
    Case("json.zst", 50_000, form="json.zst"),
    Case("odd-1", 50_000, contenders=FAST, odd=1),
    Case("odd-100", 50_000, contenders=FAST, odd=100),
    Case("4GB", 490_000),
)


@dataclass(frozen=True)
class Result:
    """What the contenders of a case took, and why others are left out."""

    facts: Facts
    runs: dict[str, list[Run]]
    failed: dict[str, str]

    def seconds(self, name: str) -> float:
        return statistics.median(one.seconds for one in self.runs[name])

    def cpu(self, name: str) -> float:
        return statistics.median(one.cpu for one in self.runs[name])

    def peak(self, name: str) -> float:
        return statistics.median(one.peak for one in self.runs[name])


def race(case: Case, runs: int, scratch: Path) -> Result:
    """Run the contenders in turn, so that a busy minute hits all alike; who fails once is left out."""
    forms = {name: case.form if name == "ftetl" else "ndjson" for name in case.contenders}
    answers = {form: case.answer(scratch, form) for form in sorted(set(forms.values()))}
    found: dict[str, list[Run]] = {name: [] for name in case.contenders}
    failed: dict[str, str] = {}
    for number in range(runs):
        for name in case.contenders:
            if name in failed:
                continue
            file, facts = answers[forms[name]]
            try:
                found[name].append(run(name, file, facts, scratch))
                print(f"{name} {number + 1}/{runs}: {found[name][-1].seconds:.2f} s", file=sys.stderr)
            except FailedError as error:
                failed[name] = str(error)
                print(f"{name} left out: {error}", file=sys.stderr)
    facts = next(iter(answers.values()))[1]
    return Result(facts, {name: each for name, each in found.items() if name not in failed}, failed)


def table(result: Result) -> str:
    """The result in Markdown, fastest first."""
    rows = [
        "| contender | seconds | CPU s | MB/s | rows/s | peak MB | ratio to ftetl | what it cannot do |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    facts = result.facts
    for name in sorted(result.runs, key=result.seconds):
        wall = result.seconds(name)
        ratio = f"{wall / result.seconds('ftetl'):.2f} x" if "ftetl" in result.runs else "-"
        rows.append(
            f"| {name} | {wall:.2f} | {result.cpu(name):.2f} | {facts.bytes / 1e6 / wall:,.0f}"
            f" | {(facts.jobs + facts.events) / wall:,.0f} | {result.peak(name) / 1e6:,.0f} | {ratio}"
            f" | {LACKS.get(name, '')} |"
        )
    rows += [f"| {name} | - | - | - | - | - | - | this: {message} |" for name, message in result.failed.items()]
    return "\n".join(rows)


def report(case: Case, result: Result, runs: int) -> None:
    """Print the title and the table."""
    read = "all read ndjson" if case.form == "ndjson" else f"ftetl reads {case.form}, the others ndjson"
    print(f"\n### {case.title}, {result.facts.bytes / 1e6:,.0f} MB of JSON\n")
    print(f"Median of {runs}; {read}.\n\n{table(result)}", flush=True)
