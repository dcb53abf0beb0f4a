"""The house: data moves one way, and so do the imports."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ftetl"
LONGEST = 300


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}


def _names(path: Path) -> Iterator[str]:
    """Everything that a module imports, wherever in it; of a package, its modules one by one."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix("ftetl.") in MODULES else str(node.module)


@cache
def _ours(module: str) -> frozenset[str]:
    found = {name.removeprefix("ftetl.") for name in _names(MODULES[module]) if name.startswith("ftetl.")}
    return frozenset(found - {module})


@pytest.mark.parametrize("module", MODULES)
class TestEveryModule:
    def test_opens_with_what_it_is_for(self, module: str) -> None:
        opening = ast.get_docstring(ast.parse(MODULES[module].read_text("utf-8")))

        assert opening
        assert re.search(r"[.:]$", opening.split("\n\n")[0])

    def test_is_short_enough_to_be_read(self, module: str) -> None:
        assert len(MODULES[module].read_text("utf-8").splitlines()) <= LONGEST

    def test_has_a_name_that_says_something(self, module: str) -> None:
        assert not {*module.split(".")} & {"utils", "util", "helpers", "common", "base", "misc"}


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: _ours(module) for module in MODULES}

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError
