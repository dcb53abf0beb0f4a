"""Every failure has a code, no two share one, and the page that lists them is the one that the code makes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ftetl
from ftetl import errors
from ftetl.errors import EXITS, FtetlError, os_errors
from ftetl.extract.together_api import network_errors, response_check
from tests.errors import catalog
from tests.errors.catalog import FAULTS, GROUPS

PACKAGE = Path(ftetl.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, FtetlError)}
# Where a code is chosen from several, and not in the line that makes the error.
CHOSEN = {
    ("pipeline/export.py", "SoftwareError"): {"B01", "S26"},
    ("validate/table_checks.py", "SoftwareError"): {"B02", "V13"},
    ("config/credentials.py", "ConfigError"): {"P07", "X04"},
    ("extract/together_api/transport.py", "UnavailableError"): {"H21", "H22"},
    ("extract/together_api/response_check.py", "UnavailableError"): {"N03"},
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def name_of(path: Path) -> str:
    """A module's path in the package."""
    return path.relative_to(PACKAGE).as_posix()


def texts(node: ast.AST) -> Iterator[str]:
    for found in ast.walk(node):
        if isinstance(found, ast.Constant) and isinstance(found.value, str):
            yield found.value


def codes(node: ast.AST) -> set[str]:
    """What looks like a code, of all that a part of a program says."""
    return {text for text in texts(node) if re.fullmatch(r"[A-Z]\d\d", text)}


def made(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The kind of each error that a module makes, and what stands in the place of its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in KINDS:
                yield node.func.id, node.args[0]
            elif node.func.id == "RequestFailure" and isinstance(node.args[0], ast.Name) and node.args[0].id in KINDS:
                yield node.args[0].id, node.args[1]


SITES = [
    pytest.param(path, kind, code, id=f"{name_of(path)}:{code.lineno}")
    for path in MODULES
    for kind, code in made(tree(path))
]


def test_there_are_sites_to_look_at() -> None:
    assert len(SITES) >= 100
    assert any("response_check" in str(site.id) for site in SITES)


@pytest.mark.parametrize(("path", "kind", "code"), SITES)
def test_every_error_is_made_with_a_code_whose_exit_is_its_own(path: Path, kind: str, code: ast.expr) -> None:
    given = codes(code) if isinstance(code, ast.Constant | ast.IfExp) else CHOSEN[name_of(path), kind]

    assert given
    assert given <= codes(tree(path))
    assert [each for each in given if KINDS[kind].exit.name not in FAULTS[each].exits] == []


def test_the_tables_of_errors_have_codes_whose_exits_are_theirs() -> None:
    rows = [row[1:3] for row in network_errors._FAILURES]
    assert len(rows) > 10
    rows += [(kind, code) for kind, code, _, _ in os_errors._REASONS.values()]
    rows += [row[:2] for table in (response_check._STATUSES, response_check._CLASSES) for row in table.values()]

    assert [(kind, code) for kind, code in rows if kind.exit.name not in FAULTS[code].exits] == []


def test_every_code_is_in_the_table_and_every_one_of_the_table_is_in_use() -> None:
    assert set().union(*(codes(tree(path)) for path in MODULES)) == {*FAULTS}


def test_an_error_without_a_code_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        FtetlError("it broke")  # type: ignore[call-arg]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
class TestEveryFault:
    def test_is_of_a_group_and_has_a_number(self, fault: catalog.Fault) -> None:
        assert re.fullmatch(r"[A-Z]\d\d", fault.code)
        assert fault.code[0] in GROUPS

    def test_ends_with_exits_that_commit_nothing(self, fault: catalog.Fault) -> None:
        assert fault.exits
        assert all(not EXITS[name].committed for name in fault.exits)

    def test_has_a_meaning_of_its_own(self, fault: catalog.Fault) -> None:
        assert [other.code for other in FAULTS.values() if other.meaning == fault.meaning] == [fault.code]


def test_the_table_has_no_code_twice() -> None:
    listed = re.findall(r'^ {8}\("([A-Z]\d\d)",', Path(catalog.__file__).read_text("utf-8"), re.MULTILINE)

    assert len(listed) == len({*listed}) == len(FAULTS)


def test_every_exit_of_a_failure_has_a_code() -> None:
    failures = {name for name, end in EXITS.items() if not end.committed}

    assert {name for fault in FAULTS.values() for name in fault.exits} == failures


def test_the_page_in_the_repository_is_up_to_date(root: Path) -> None:
    """If not: python -m tests.errors.catalog > docs/codes.md"""
    assert (root / "docs" / "codes.md").read_text("utf-8") == catalog.page()


def test_the_page_has_a_row_for_every_code(root: Path) -> None:
    rows = re.findall(r"^\| `FTETL-(...)` \| (.+?) \| (.+) \|$", catalog.page(), re.MULTILINE)

    assert {code: meaning for code, _, meaning in rows} == {code: fault.meaning for code, fault in FAULTS.items()}
    assert all(str(EXITS[name].code) in exits for code, exits, _ in rows for name in FAULTS[code].exits)


def test_the_module_writes_the_page(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.errors.catalog"], cwd=root, capture_output=True, check=True, encoding="utf-8"
    )

    assert done.stdout == catalog.page()
    assert "python -m tests.errors.catalog > docs/codes.md" in done.stdout
