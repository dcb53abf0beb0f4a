"""Which modules importing ftetl and asking it for help load: of other packages and of its own only what is listed."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HEAVY = {"msgspec", "numpy", "pandas", "pandera", "pyarrow", "requests", "rich", "urllib3"}
IMPORT, COMMAND = "import ftetl", "runpy.run_module('ftetl', run_name='__main__')"
COMMANDS = ("demo", "doctor", "export", "quarantine", "rebuild", "report", "runs", "schema", "verify")
COMMAND_LINE = {
    *("cli", "cli.main", "cli.exit_handling", "cli.log_format", "cli.options", "cli.output", "cli.process"),
    *("cli.commands", *(f"cli.commands.{name}" for name in COMMANDS)),
    *("config", "config.limits", "config.settings"),
    *("contract", "contract.loader", "contract.markdown", "contract.model", "contract.validation"),
    *("errors", "errors.exceptions", "errors.exit_codes"),
    *("clock", "formatting", "run_report"),
    *("load", "load.formats"),  # the names of the formats
    *("pipeline", "pipeline.progress"),  # progress that nobody displays
}

# Told at the very end, so that nothing is missing; `-X importtime` would also list what was only tried. A name without
# a module is one that must not be loaded.
LISTING = """
import atexit, runpy, sys
atexit.register(lambda: print(*(name for name, module in sys.modules.items() if module), file=sys.stderr))
sys.argv = ["ftetl", *sys.argv[2:]]
"""


@cache
def loaded(root: Path, work: str, *arguments: str) -> frozenset[str]:
    """Every module that is there when a fresh process ends which does a piece of work."""
    command = [sys.executable, "-c", LISTING + work, "--", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return frozenset(done.stderr.split())


def others(root: Path, work: str, *arguments: str) -> set[str]:
    """The packages of others among them, without what this environment loads for every process."""
    found = loaded(root, work, *arguments) - loaded(root, "pass")
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"ftetl"}


def ours(root: Path, work: str, *arguments: str) -> set[str]:
    """The modules of ftetl among them."""
    return {name.removeprefix("ftetl.") for name in loaded(root, work, *arguments) if name.startswith("ftetl.")}


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ((IMPORT,), set()),
        ((COMMAND, "--help"), {"click"}),
        ((COMMAND, "--version"), {"click"}),
        ((COMMAND, "export", "--help"), {"click"}),
        ((COMMAND, "schema"), {"click"}),
    ],
    ids=["import", "--help", "--version", "export --help", "schema"],
)
def test_of_other_packages_only_these_are_loaded(root: Path, arguments: tuple[str, ...], allowed: set[str]) -> None:
    found = others(root, *arguments)

    assert found == allowed
    assert not found & HEAVY


def test_a_run_loads_the_gate_but_not_what_pandera_makes_examples_with(root: Path, tmp_path: Path) -> None:
    found = others(root, COMMAND, "demo", str(tmp_path / "target"), "-q")

    assert {"pandera", "pandas", "pyarrow"} <= found
    assert not found & {"hypothesis", "pytest", "trio"}


def test_the_list_would_show_a_heavy_import(root: Path) -> None:
    assert "msgspec" in others(root, "import msgspec")


def test_the_package_loads_the_errors_and_nothing_else_of_its_own(root: Path) -> None:
    assert ours(root, IMPORT) == {"errors", "errors.exceptions", "errors.exit_codes"}


def test_the_help_loads_the_command_line_and_what_it_is_made_of(root: Path) -> None:
    assert ours(root, COMMAND, "--help") == COMMAND_LINE
