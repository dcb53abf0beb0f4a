"""Which package may import which: `pipeline` alone knows all steps, and nothing imports upwards."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ftetl"
LONGEST = 300
TOP = 8  # entries at the top of the package that are modules

GROUND = {"arrays", "clock", "config", "errors", "formatting", "load_result", "run_report"}
READING = GROUND | {"contract", "raw", "remote", "store", "snapshot"}
# For each package all that it may import besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "__main__": {"cli"},
    "spark": GROUND | {"cli", "contract", "extract", "pipeline", "raw", "transform"},
    "cli": GROUND | {"contract", "html_report", "loading", "pipeline", "snapshot", "validate"},
    "pipeline": READING | {"extract", "loading", "transform", "validate"},
    "loading": READING - {"remote"} | {"validate"},
    "extract": READING - {"remote"} | {"demo"},
    "transform": READING - {"config", "remote", "store"},
    "validate": READING,
    "html_report": READING - {"raw", "remote"} | {"analysis"},
    "analysis": READING - {"raw", "remote", "store"},
    "snapshot": GROUND | {"contract", "raw", "remote", "store"},
    "remote": GROUND | {"store"},
    "store": GROUND,
    "raw": GROUND | {"contract"},
    "contract": {"errors"},
    "demo": set(),
    "run_report": {"errors", "formatting", "load_result"},
    "load_result": {"formatting"},
    "config": {"clock", "errors", "formatting"},
    "errors": set(),
    "formatting": set(),
    "arrays": set(),
    "clock": set(),
}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}


def _package(module: str) -> str:
    return module.split(".")[0]


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


@cache
def _foreign(module: str) -> frozenset[str]:
    return frozenset(name.split(".")[0] for name in _names(MODULES[module])) - {"ftetl"}


@cache
def _reached(module: str) -> frozenset[str]:
    """What is imported with a module, foreign packages too, at once or by a call."""
    found: set[str] = set()
    ahead = {module}
    while ahead:
        next_one = ahead.pop()
        found.add(next_one)
        found |= _foreign(next_one)
        ahead |= _ours(next_one) - found
    return frozenset(found)


def test_every_package_says_what_it_may_import() -> None:
    assert {_package(module) for module in MODULES} == {*MAY_IMPORT}


def test_nothing_may_import_in_a_circle() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError


def test_the_steps_do_not_know_each_other() -> None:
    steps = {"extract", "transform", "validate"}

    assert {step: MAY_IMPORT[step] & steps for step in steps} == {step: set() for step in steps}
    assert [name for name, others in MAY_IMPORT.items() if steps <= others] == ["pipeline"]


def test_few_modules_stand_at_the_top() -> None:
    assert len([*PACKAGE.glob("*.py")]) <= TOP


@pytest.mark.parametrize("module", MODULES)
class TestEveryModule:
    def test_imports_only_what_its_package_may(self, module: str) -> None:
        allowed = MAY_IMPORT[_package(module)] | {_package(module)}
        others = {other for other in _ours(module) if _package(other) not in allowed}

        assert others == set()

    def test_opens_with_what_it_is_for(self, module: str) -> None:
        opening = ast.get_docstring(ast.parse(MODULES[module].read_text("utf-8")))

        assert opening
        assert re.search(r"[.:]$", opening.split("\n\n")[0])

    def test_is_short_enough_to_be_read(self, module: str) -> None:
        assert len(MODULES[module].read_text("utf-8").splitlines()) <= LONGEST

    def test_has_a_name_that_says_something(self, module: str) -> None:
        assert not {*module.split(".")} & {"utils", "util", "helpers", "common", "base", "misc"}


def test_spark_is_known_to_its_own_package_only() -> None:
    assert {_package(module) for module in MODULES if _foreign(module) & {"pyspark", "py4j"}} == {"spark"}


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: _ours(module) for module in MODULES}

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


COLUMNAR = {"pyarrow", "pandas", "pandera"}


@pytest.mark.parametrize(
    ("package", "unknown"),
    [
        ("errors", COLUMNAR | {"requests", "click", "rich"}),
        ("config", COLUMNAR | {"requests", "click", "rich"}),
        ("store", COLUMNAR | {"requests", "msgspec", "click", "rich"}),
        ("demo", COLUMNAR | {"requests", "click", "rich"}),
        ("extract.together_api", COLUMNAR | {"click", "rich"}),
        ("extract", {"pandas", "pandera", "click", "rich"}),
        ("transform", {"pandas", "pandera", "requests", "click", "rich"}),
        ("loading.destinations", {"pandera", "requests", "click", "rich"}),
        ("loading.formats", {"pandas", "pandera", "requests", "click", "rich"}),
        ("snapshot", {"requests", "click", "rich"}),
        ("pipeline", {"click", "rich", "pyspark", "py4j"}),
    ],
)
def test_a_package_does_not_depend_on(package: str, unknown: set[str]) -> None:
    inside = [module for module in MODULES if module == package or module.startswith(f"{package}.")]

    assert inside
    assert {module: _reached(module) & unknown for module in inside if _reached(module) & unknown} == {}
