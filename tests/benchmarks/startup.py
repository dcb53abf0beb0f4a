"""What ftetl costs before it does anything: its help, its imports, and 100 jobs beside the bare imports."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from tests.benchmarks.cases import CASES
from tests.benchmarks.measure import export, measured, own_folder, said
from tests.benchmarks.thresholds import Bar

HELP: list[str | Path] = [sys.executable, "-m", "ftetl", "--help"]
BARE: list[str | Path] = [sys.executable, "-c", "import pandas, pyarrow, pandera.pandas, requests"]
HEAVY = "pandas", "pyarrow", "pandera"
LISTING = """
import contextlib, io, runpy, sys
sys.argv = ["ftetl", "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    runpy.run_module("ftetl", run_name="__main__")
print(*sys.modules)
"""


def small(runs: int, scratch: Path) -> list[Bar]:
    """The bars of what a small run costs, their processes in turn."""
    file, _ = next(case for case in CASES if case.name == "100").answer(scratch, "ndjson")
    seconds: dict[str, list[float]] = {"help": [], "bare": [], "hundred": []}
    for _ in range(runs):
        with own_folder(scratch, "small") as folder:
            commands: dict[str, list[str | Path]] = {
                "help": HELP,
                "bare": BARE,
                "hundred": export(file, folder / "target"),
            }
            for name, command in commands.items():
                seconds[name].append(measured(command, folder).seconds)
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    heavy = {name.partition(".")[0] for name in said([sys.executable, "-c", LISTING]).split()} & set(HEAVY)
    return [
        Bar("`ftetl --help`", middle["help"], 0.25, "s"),
        Bar(f"`ftetl --help` imports of {', '.join(HEAVY)}", len(heavy), 0, "modules"),
        Bar(f"100 jobs beyond the bare imports ({middle['bare']:.2f} s)", middle["hundred"] - middle["bare"], 0.3, "s"),
    ]
