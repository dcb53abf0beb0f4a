"""What any page says is so: calls and options exist, links lead somewhere, code runs, messages advise what exists."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ftetl.cli.main import cli
from tests.cli.program import CLI_COMMANDS
from tests.docs.pages import DOCS, GITHUB, KNOWN_OPTIONS, PAGES, README, ROOT, code_blocks, inline_code, options_of

SHELL = [(page, block) for page in PAGES for block in code_blocks("sh", page)]
# Options of other programs that the pages for contributors name.
FOREIGN = {"--check", "--runs", "--scale", "--strict", "--user"}


def commands(line: str) -> Iterator[list[str]]:
    """The commands of a line of a shell as words: what stands between `;`, `&&` and the like, outside of quotes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set(";|&"):
            yield words
            words = []
        else:
            words.append(word)
    yield words


def calls() -> Iterator[list[str]]:
    """Every call of ftetl on any page, as words; what shells do with them aside."""
    for _, block in SHELL:
        for line in block.splitlines():
            yield from (words for words in commands(line) if words[:1] == ["ftetl"])
    for page in PAGES:
        for code in inline_code(page):
            if code.startswith("ftetl ") and ";" not in code:
                yield [word.strip("[]") for word in code.split()]


def test_there_are_calls_and_code_to_check() -> None:
    """Else the tests below would hold of nothing."""
    assert len({*map(tuple, calls())}) >= 20
    assert len(PYTHON) >= 4
    assert len(SQL) >= 2


@pytest.mark.parametrize("words", [*calls()], ids=" ".join)
def test_every_call_is_one_that_exists(words: list[str]) -> None:
    name, *rest = words[1:]

    if name in KNOWN_OPTIONS:
        return
    assert name in CLI_COMMANDS
    used = {word.split("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert used <= {*options_of(CLI_COMMANDS[name]), "--help"}


@pytest.mark.parametrize("line", [line for _, block in SHELL for line in block.splitlines() if "ftetl " in line])
def test_every_call_in_a_block_can_be_parsed(line: str) -> None:
    for words in commands(line):
        if words[:1] == ["ftetl"]:
            CLI_COMMANDS[words[1]].make_context(words[1], words[2:], parent=cli.make_context("ftetl", []))


def test_every_option_in_the_text_exists() -> None:
    named = {
        name for page in PAGES for code in inline_code(page) for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)
    }

    assert named <= KNOWN_OPTIONS | FOREIGN


def test_every_link_leads_somewhere() -> None:
    found = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))]
    links = [page.parent / link for page, link in found if "://" not in link]

    assert links
    assert [link for link in links if not link.exists()] == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_link_to_a_heading_leads_to_one() -> None:
    links = [
        (page, link, anchor)
        for page in [*PAGES, ROOT / "CHANGELOG.md", ROOT / "schemas" / "README.md"]
        for link, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text("utf-8"))
        if "://" not in link
    ]
    lost = [(page.name, link, a) for page, link, a in links if a not in anchors(page.parent / link if link else page)]

    assert len(links) >= 5
    assert lost == []


def test_the_readme_links_to_every_page() -> None:
    pages = [
        page for page in [*DOCS, *GITHUB] if f"({page.relative_to(ROOT).as_posix()})" not in README.read_text("utf-8")
    ]

    assert pages == []


def test_the_site_has_every_page() -> None:
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)

    assert sorted(listed) == [page.name for page in DOCS]


OWN_TESTS = {"bi.md", "sql.md", "schedulers.md", "spark.md"}  # their code is run by tests of their own
PYTHON = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    if page.name not in OWN_TESTS
    for number, block in enumerate(code_blocks("python", page))
]
SQL = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    if page.name not in OWN_TESTS
    for number, block in enumerate(code_blocks("sql", page))
]


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run."""
    folder = tmp_path_factory.mktemp("reader")
    command = [sys.executable, "-m", "ftetl", "demo"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    (folder / "output").write_text(done.stderr + done.stdout)
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_readme_shows_what_the_demo_prints(demo_folder: Path) -> None:
    printed = (demo_folder / "output").read_text().splitlines()

    assert [line for line in code_blocks("text", README)[0].splitlines() if line not in printed] == []


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_runs_without_a_warning(demo_folder: Path, code: str) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=demo_folder, env=environment(), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("query", SQL)
def test_the_sql_runs(demo_folder: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo_folder)

    assert duckdb.sql(query).fetchall()


def texts(path: Path) -> Iterator[str]:
    """The texts in a module that are no docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    with_docs = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, with_docs) and isinstance(n.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


# The modules of `cli` declare the options themselves.
MODULES = [path for path in sorted((ROOT / "ftetl").rglob("*.py")) if "cli" not in path.relative_to(ROOT).parts]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "ftetl").as_posix())
def test_a_message_advises_only_what_exists(path: Path) -> None:
    for text in texts(path):
        assert {*re.findall(r"`ftetl (\w+)", text)} <= {*CLI_COMMANDS}
        assert {*re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-])", text)} <= KNOWN_OPTIONS
