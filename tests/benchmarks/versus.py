"""This checkout beside another revision of ftetl: what a user waits for, run in turn, as tables in Markdown.

    python -m tests.benchmarks.versus 3af4787                       50,000 jobs with 1,000,000 events, three runs
    python -m tests.benchmarks.versus HEAD --scale 0.01 --runs 1    in a minute, to see that it works
    python -m tests.benchmarks.versus 3af4787 --check               exit 1 where a bar is missed

Both are installed, each into a virtual environment of its own in a temporary folder: REV as git has it, this checkout
as it stands on the disk. Only ftetl's own code differs, and no network is needed: pip installs with `--no-deps`, and
what ftetl depends on (and hatchling, which builds it) is taken from the environment that runs this command, whose
folders of packages a `.pth` file names. What was written is counted and summed before a time is believed.

Only the standard library is imported here: on Linux a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import thresholds
from tests.benchmarks.__main__ import FORMS, versions
from tests.benchmarks.cases import Case, Result
from tests.benchmarks.measure import ROOT, Facts, FailedError, Run, check, export, measured, own_folder, said
from tests.benchmarks.read_performance import ENGINES, QUERIES, SAME
from tests.benchmarks.scheduled_run import changed, service
from tests.benchmarks.scheduled_run import export as live_export
from tests.benchmarks.startup import BARE
from tests.benchmarks.thresholds import Bar

Program = list[str | Path]
IMPORTS = "imports of pandas, pyarrow, pandera and requests"
SMALL_FIRST, SMALL_SAME = "100 jobs, first run", "100 jobs, nothing changed"
FIRST, UNCHANGED, CHANGED, CSV = "first run", "nothing changed", "1 % changed", "first run with `--format csv`"
LIVE = "first run from a service on loopback"


@dataclass(frozen=True)
class Work:
    """What one process does in a folder of its build's own; and the target there with what it has to hold then."""

    command: Callable[[Program, Path], Run]
    target: str = ""
    facts: Facts | None = None


def install(source: Path, folder: Path) -> Program:
    """The command line of the ftetl in `source`, installed into a new virtual environment.

    Raises:
        FailedError: It could not be installed.
    """
    said([sys.executable, "-m", "venv", "--without-pip", folder])
    python = folder / "bin" / "python"
    site = Path(said([python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(packages) + "\n")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    said([sys.executable, "-m", "pip", "--python", python, "install", *options, source])
    return [python, "-I", "-m", "ftetl"]  # isolated: PYTHONPATH and the working folder name no other ftetl


def archived(revision: str, folder: Path) -> str:
    """Write the files of a revision into a new folder; its short hash.

    Raises:
        FailedError: Git knows no such revision here.
    """
    git = ["git", "-C", str(ROOT)]
    try:
        commit = said([*git, "rev-parse", "--verify", "--short", f"{revision}^{{commit}}"]).strip()
    except FailedError:
        raise FailedError(f"git knows no revision {revision!r} in {ROOT}") from None
    folder.mkdir()
    packed = folder.with_suffix(".tar")
    said([*git, "archive", f"--output={packed}", commit])
    shutil.unpack_archive(packed, folder, filter="data")
    packed.unlink()
    return commit


def works(cases: tuple[Case, Case, Case], scratch: Path, url: str) -> dict[str, Work]:
    """All works by name, in the order in which they are run; the later ones use the targets of the earlier ones."""
    small, big, live = cases
    (little, little_facts), (file, facts) = small.answer(scratch, small.form), big.answer(scratch, big.form)
    later = scratch / f"later-{file.name}"
    changed(file, later)

    def saved(answer: Path, target: str, *words: str) -> Callable[[Program, Path], Run]:
        return lambda program, at: measured([*export(answer, at / target, program), *words], at)

    return {
        IMPORTS: Work(lambda program, at: measured([program[0], *BARE[1:]], at)),
        SMALL_FIRST: Work(saved(little, "small"), "small", little_facts),
        SMALL_SAME: Work(saved(little, "small"), "small", little_facts),
        FIRST: Work(saved(file, "big"), "big", facts),
        UNCHANGED: Work(saved(file, "big"), "big", facts),
        CHANGED: Work(saved(later, "big"), "big", facts),  # refunds: the same numbers of rows and prices
        CSV: Work(saved(file, "csv", "--format", "csv"), "csv", facts),
        LIVE: Work(
            lambda program, at: live_export(at / "live", "--base-url", url, program=program),
            "live",
            live.answer(scratch, "ndjson")[1],
        ),
    }


def race(builds: dict[str, Program], todo: dict[str, Work], runs: int, scratch: Path) -> tuple[list[Result], list[Bar]]:
    """The results of both builds, run in turn; and the bars of the files that they wrote last.

    Raises:
        FailedError: One failed, or wrote other rows than there are.
    """
    results = [Result(Facts(0, 0, 0, 0), {name: [] for name in todo}, {}) for _ in builds]
    files: list[Bar] = []
    for number in range(runs):
        with own_folder(scratch, "versus") as folder:
            for name, work in todo.items():
                for (build, program), result in zip(builds.items(), results, strict=True):
                    at = folder / build
                    at.mkdir(exist_ok=True)
                    result.runs[name].append(work.command(program, at))
                    if work.facts:
                        check(at / work.target / "current", work.facts)
                    print(
                        f"{name} {number + 1}/{runs}, {build}: {result.runs[name][-1].seconds:.2f} s", file=sys.stderr
                    )
            if number == runs - 1:
                files = written(*(folder / build / "big" / "current" for build in builds))
    return results, files


def written(before: Path, here: Path) -> list[Bar]:
    """Whether the tables are as small and as good to read as those of the other build."""
    sizes = [sum(file.stat().st_size for file in folder.glob("*.parquet")) for folder in (here, before)]
    found = [Bar("size of the Parquet files", sizes[0] / sizes[1], 1.0)]
    for engine in ENGINES:
        queries = json.loads(said([sys.executable, QUERIES, engine, here, before]))
        found += [Bar(f"{engine}: {name}, time", one / other, SAME) for name, (one, other) in queries.items()]
    return found


def table(before: Result, here: Result, revision: str) -> str:
    """Medians of both and what this checkout takes of the other's, in Markdown."""
    measures = [(" s", Result.seconds, 1.0), (" CPU s", Result.cpu, 1.0), (" peak MB", Result.peak, 1e6)]
    heads = [f"{revision}{unit} | here{unit} | ratio" for unit, _, _ in measures]
    rows = [f"| work | {' | '.join(heads)} |", "|---|" + "--:|" * 9]
    for name in here.runs:
        cells = [name]
        for _, measure, unit in measures:
            one, other = measure(here, name) / unit, measure(before, name) / unit
            form = ",.0f" if unit > 1 else ".2f"
            cells.append(f"{other:{form}} | {one:{form}} | {one / other:.2f}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def bars(before: Result, here: Result) -> list[Bar]:
    """What this checkout has to hold; by the other revision's figure unless it says otherwise."""

    def time(work: str, limit: float) -> Bar:
        return Bar(f"{work}: time", here.seconds(work) / before.seconds(work), limit)

    return [
        time(SMALL_SAME, 0.45),
        Bar(
            f"{SMALL_FIRST}: time beyond the bare imports", here.seconds(SMALL_FIRST) - here.seconds(IMPORTS), 0.15, "s"
        ),
        time(FIRST, 0.65),
        Bar(f"{FIRST}: peak memory", here.peak(FIRST) / before.peak(FIRST), 0.75),
        time(UNCHANGED, 0.25),
        time(CHANGED, 0.5),
        Bar(f"{CHANGED}: time by that of the first run here", here.seconds(CHANGED) / here.seconds(FIRST), 0.55),
        Bar(f"{CSV}: time by that without, here", here.seconds(CSV) / here.seconds(FIRST), 1.5),
        time(LIVE, 0.6),
    ]


def compare(options: argparse.Namespace, scratch: Path) -> int:
    """Install, run and print; 1 if a bar is missed and that is asked for."""
    commit = archived(options.revision, scratch / "revision")
    builds = {"before": install(scratch / "revision", scratch / "before"), "here": install(ROOT, scratch / "here")}
    big = Case("", 50_000, form=options.format).scaled(options.scale)
    live = Case("", 10_000).scaled(options.scale)
    with service(live.answer(scratch, "ndjson")[0], 0) as url:
        todo = works((Case("", 100), big, live), scratch, url)
        (before, here), files = race(builds, todo, options.runs, scratch)
    print(
        f"A saved answer ({options.format}) of {big.title}; the service has {live.title}. Median of {options.runs}.\n"
    )
    print(f"{table(before, here, commit)}\n")
    found = [*bars(before, here), *files]
    print(f"{thresholds.table(found)}\n\nLimits are those of the sizes of `--scale 1`. {versions()}.")
    return 1 if options.check and not all(bar.held for bar in found) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.versus", description=__doc__.splitlines()[0])
    parser.add_argument("revision", metavar="REV", help="of git: a commit, a tag, a branch")
    parser.add_argument("--runs", type=int, default=3, help="of each work of each revision")
    parser.add_argument("--scale", type=float, default=1.0, help="of 50,000 saved and 10,000 served jobs")
    parser.add_argument("--format", choices=[f for f in FORMS if "." not in f], default="ndjson", help="of the answer")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ftetl-benchmark-") as folder:
        try:
            return compare(options, Path(folder))
        except FailedError as error:
            print(f"versus: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
