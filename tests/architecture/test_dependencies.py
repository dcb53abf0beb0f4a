"""What ftetl brings with it and what it does unasked: few dependencies, no dangerous call, nothing on import."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pytest_socket import SocketConnectBlockedError

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NEEDS = {need.name: need for need in map(Requirement, PROJECT["dependencies"])}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTRAS = sorted(  # what `ftetl` may import where it is used
    Requirement(need).name.replace("-", "_")
    for extra, needs in PROJECT["optional-dependencies"].items()
    if extra not in ("test", "docs")
    for need in needs
)
MOST = 28  # packages that come with ftetl: nine of them are wanted, the rest is theirs


def closure() -> set[str]:
    """Every package that `pip install ftetl` brings here."""
    found: dict[str, set[str]] = {}
    todo = [*NEEDS.values()]
    while todo:
        need = todo.pop()
        name = canonicalize_name(need.name)
        if need.extras <= found.get(name, {""}) and name in found:
            continue
        found[name] = found.get(name, set()) | need.extras
        for word in metadata.requires(name) or []:
            inner = Requirement(word)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in {"", *need.extras}):
                todo.append(inner)
    return {*found}


class TestDependencies:
    @pytest.mark.parametrize(
        ("name", "floor"), [("requests", "2.33"), ("urllib3", "2.7"), ("pyarrow", "26"), ("pandas", "3.0")]
    )
    def test_no_release_with_a_known_hole_will_do(self, name: str, floor: str) -> None:
        older = f"{int(floor.split('.')[0]) - 1}.999"

        assert NEEDS[name].specifier.contains(floor)
        assert not NEEDS[name].specifier.contains(older)

    @pytest.mark.parametrize("name", NEEDS)
    def test_what_is_installed_is_what_is_asked_for(self, name: str) -> None:
        assert NEEDS[name].specifier
        assert NEEDS[name].specifier.contains(metadata.version(name), prereleases=True)

    def test_they_are_few(self) -> None:
        found = closure()

        assert {"requests", "certifi", "pandera", "pydantic", "numpy"} <= found  # so that it is known to look deep
        assert len(found) <= MOST, sorted(found)
        assert not found & {"brotli", "zstandard", "vcrpy", "tenacity", "boto3", "pytest"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """The wheel and the sdist, built twice: from two folders, with files of different ages."""
    pytest.importorskip("hatchling", reason="it builds the wheel")
    found = []
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"built-{number}")
        source = folder / ("source" * (number + 1))
        parts = [*PROJECT["license-files"], "pyproject.toml", "README.md", "CHANGELOG.md", ".gitignore"]
        source.mkdir()
        for part in parts:
            if (ROOT / part).exists():  # an sdist has no .gitignore
                shutil.copyfile(ROOT / part, source / part)
        for part in ("ftetl", "schemas", "docs"):
            shutil.copytree(ROOT / part, source / part, copy_function=shutil.copyfile)
        env = {**os.environ, "SOURCE_DATE_EPOCH": "1780000000", "PYTHONPATH": ""}
        given = [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")]
        done = subprocess.run(given, cwd=source, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for path in source.rglob("*"):
            os.utime(path, (number * 10**9, number * 10**9))
        found.append(sorted((folder / "dist").iterdir()))
    return found


class TestWheel:
    def test_two_builds_are_equal(self, built: list[list[Path]]) -> None:
        first, second = ([(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths] for paths in built)

        assert len(first) == 2
        assert first == second

    def test_it_holds_nothing_that_runs_unasked(self, built: list[list[Path]]) -> None:
        wheel = next(path for path in built[0] if path.suffix == ".whl")
        names = zipfile.ZipFile(wheel).namelist()

        assert len(names) > 100
        assert {Path(name).suffix for name in names} <= {
            ".py",
            ".typed",
            ".toml",
            ".md",
            ".css",
            ".gz",
            ".html",
            ".js",
            ".mplstyle",
            ".txt",
            "",
        }
        assert [name for name in names if name.endswith(".gz")] == ["ftetl/demo/jobs.json.gz"]
        assert not [name for name in names if "sitecustomize" in name or "usercustomize" in name or ".data/" in name]

    def test_the_jobs_of_the_demo_are_read_from_inside_the_wheel(self, built: list[list[Path]], tmp_path: Path) -> None:
        wheel = next(path for path in built[0] if path.suffix == ".whl")
        code = f"import sys; sys.path.insert(0, {str(wheel)!r}); from ftetl import demo\n"
        code += "assert '.whl' in demo.__file__; print(len(demo.load_jobs()))"
        command = [sys.executable, "-I", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stdout, done.stderr) == (0, "360\n", "")

    def test_it_works_where_python_trusts_no_environment(self, built: list[list[Path]], tmp_path: Path) -> None:
        wheel = next(path for path in built[0] if path.suffix == ".whl")
        code = f"import sys; sys.path.insert(0, {str(wheel)!r}); sys.argv = ['ftetl', '--version']\n"
        code += "import ftetl.cli.main; assert '.whl' in ftetl.__file__; ftetl.cli.main.main()"
        given = [sys.executable, "-I", "-c", code]
        done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("ftetl, version ")


MODULES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "ftetl").rglob("*.py"))]
NEVER_IMPORTED = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "subprocess",
    "pty",
    "multiprocessing",
    "yaml",
    "ctypes",
}
NEVER_CALLED = {
    *("eval", "exec", "compile", "__import__", "system", "popen", "extractall", "mktemp", "fork", "startfile"),
    *("execv", "execve", "execvp", "spawnv", "spawnl", "posix_spawn", "read_pickle", "to_pickle", "set_trace"),
}
NEVER_GIVEN = {"shell": True, "verify": False, "allow_pickle": True, "trust_remote_code": True}


def dangers(source: str) -> Iterator[str]:
    """What in a module could run or trust what it should not."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (f"import {name}" for name in names if name.partition(".")[0] in NEVER_IMPORTED)
        if isinstance(node, ast.Call):
            called = node.func
            plain = called.id if isinstance(called, ast.Name) else ""
            name = called.attr if isinstance(called, ast.Attribute) else plain
            if name in NEVER_CALLED and not (name == "compile" and not plain):  # re.compile is none
                yield f"{name}()"
            for word in node.keywords:
                if word.arg in NEVER_GIVEN and getattr(word.value, "value", None) is NEVER_GIVEN[word.arg]:
                    yield f"{word.arg}={NEVER_GIVEN[word.arg]}"


ALLOWED = {"ftetl/cli/process.py": ["import ctypes"]}  # to tell the C library's allocator what no Python function does


@pytest.mark.parametrize("module", MODULES)
def test_nothing_dangerous_is_called(module: str) -> None:
    assert list(dangers((ROOT / module).read_text("utf-8"))) == ALLOWED.get(module, [])


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "eval('1')",
        "import os; os.system('x')",
        "get(url, verify=False)",
        "run(x, shell=True)",
        "tar.extractall()",
        "import subprocess as s",
    ],
)
def test_it_would_be_noticed(source: str) -> None:
    assert list(dangers(source))


# Whatever Python itself tells of: what is opened to be written, what is made, run or talked to.
LISTEN = """
import json, os, sys
sys.dont_write_bytecode = True
told = []
KINDS = ("socket.", "subprocess.", "os.", "shutil.", "tempfile.", "pty.", "urllib.", "http.", "ftplib.", "smtplib.")
QUIET = {"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.unsetenv", "socket.__new__"}
def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if flags is not None and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC):
            told.append(["open", str(path)])
    elif event.startswith(KINDS) and event not in QUIET:
        told.append([event, repr(arguments)])
sys.addaudithook(hook)
"""


def unasked(work: str, folder: Path) -> list[list[str]]:
    """What a fresh process writes, starts or talks to while it does a piece of work."""
    code = f"{LISTEN}\n{work}\nprint(json.dumps(told))"
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(folder)}
    given = [sys.executable, "-c", code]
    done = subprocess.run(given, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


class TestImport:
    def test_it_writes_nothing_starts_nothing_and_talks_to_nobody(self, tmp_path: Path) -> None:
        assert unasked("import ftetl", tmp_path) == []
        assert [*tmp_path.iterdir()] == []

    def test_nor_does_the_import_of_any_module_and_none_needs_an_extra(self, tmp_path: Path) -> None:
        """But for the modules inside `ftetl.spark`, which the package imports once it is used."""
        names = [m.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for m in MODULES]
        names = [name for name in names if not name.startswith("ftetl.spark.")]
        work = f"for name in {EXTRAS!r}: sys.modules[name] = None  # as if it were not installed\n"
        work += "\n".join(f"import {name}" for name in names if not name.endswith("__main__"))
        told = unasked(work, tmp_path)

        # urllib3 looks whether there is IPv6, and others set variables for their own libraries.
        assert [what for what in told if what[0] != "os.putenv" and "('::1', 0)" not in what[1]] == []
        assert [*tmp_path.iterdir()] == []

    @pytest.mark.parametrize(
        ("work", "event"),
        [
            ("open('x', 'w').close()", "open"),
            ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
            ("import socket; socket.create_server(('127.0.0.1', 0)).close()", "socket.bind"),
            ("os.mkdir('y')", "os.mkdir"),
        ],
    )
    def test_it_would_be_noticed(self, tmp_path: Path, work: str, event: str) -> None:
        assert event in [what[0] for what in unasked(work, tmp_path)]


def test_no_test_reaches_another_machine() -> None:
    with socket.socket() as tried, pytest.raises((SocketConnectBlockedError, UserWarning), match="192"):
        tried.connect(("192.0.2.1", 443))


def test_what_others_run_for_us_is_named_by_its_hash() -> None:
    """A tag of an action can be moved; a commit cannot."""
    used = [
        use for page in PAGES for use in re.findall(r"^\s*(?:- )?uses: (.+)$", page.read_text("utf-8"), re.MULTILINE)
    ]

    assert used
    assert [use for use in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_puts_a_key_on_a_command_line(page: Path) -> None:
    """Everybody on the machine can read the arguments of a program; `echo` and `printf` are none, a shell does them."""
    for line in page.read_text("utf-8").splitlines():
        assert not re.search(r"--api-key[ =]", line)
        for command in re.split(r"[|;]|&&", line):
            if re.search(r"\$\{?TOGETHER_API_KEY", command):
                assert command.split()[0].strip("`") in ("echo", "printf"), line
