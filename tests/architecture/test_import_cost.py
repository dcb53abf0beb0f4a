"""Which modules importing ftetl and asking it for help load: of other packages and of its own only what is listed."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HEAVY = {"msgspec", "numpy", "pandas", "pandera", "pyarrow", "requests", "rich", "urllib3"}
IMPORT, COMMAND = "import ftetl", "runpy.run_module('ftetl', run_name='__main__')"
COMMAND_LINE = {
    *("cli", "cli.main", "cli.exit_handling", "cli.log_format", "cli.output", "cli.process"),
    *("errors", "errors.places", "formatting"),
}
EXPORT = COMMAND_LINE | {
    *("cli.commands", "cli.commands.export", "cli.options"),
    *("config", "config.limits", "config.local_path", "config.object_address", "config.settings", "clock"),
    *("loading", "loading.formats"),  # the names of the formats
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


def test_a_run_in_which_nothing_changed_loads_neither_the_gate_nor_arrow(root: Path, tmp_path: Path) -> None:
    saved = tmp_path / "list.json"
    saved.write_text('{"data":[{"id":"ft-1","status":"completed"}]}')
    export = (COMMAND, "export", str(tmp_path / "target"), "--from", str(saved), "-q")
    loaded(root, *export)
    loaded.cache_clear()

    assert others(root, *export) & {"numpy", "pandas", "pandera", "pyarrow", "requests"} == set()


def test_the_list_would_show_a_heavy_import(root: Path) -> None:
    assert "msgspec" in others(root, "import msgspec")


def test_the_package_loads_the_errors_and_nothing_else_of_its_own(root: Path) -> None:
    assert ours(root, IMPORT) == {"errors"}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_the_help_loads_no_command(root: Path, arguments: tuple[str, ...]) -> None:
    assert ours(root, COMMAND, *arguments) == COMMAND_LINE


def test_the_help_of_a_command_loads_that_command_and_its_options(root: Path) -> None:
    assert ours(root, COMMAND, "export", "--help") == EXPORT


@pytest.mark.parametrize("module", ["decimal", "importlib.metadata"])
def test_the_help_loads_no_slow_module_of_the_standard_library(root: Path, module: str) -> None:
    assert module not in loaded(root, COMMAND, "--help")
    assert module in loaded(root, f"import {module}")
