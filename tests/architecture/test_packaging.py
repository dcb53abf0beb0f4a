"""What is shipped: the wheel alone is enough, and the sdist is enough to make it and to test it."""

from __future__ import annotations

import configparser
import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from ftetl.contract import tables

pytest.importorskip("build", reason="the build front end is in the extra `test`")
pytest.importorskip("hatchling", reason="without it here the build would need the network")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    given = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(dist.glob("*.whl")))


@pytest.fixture(scope="module")
def site(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed where nothing else is; what it depends on is taken from where the tests run."""
    folder = tmp_path_factory.mktemp("site")
    given = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", folder, *dist.glob("*.whl")]
    subprocess.run([sys.executable, "-m", "pip", *given], check=True, capture_output=True)
    return folder


def installed(site: Path, *words: str, cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(next(n for n in wheel.namelist() if n.endswith(f".dist-info/{name}"))).decode()


class TestWheel:
    def test_it_holds_the_package_and_nothing_beside_it(self, wheel: zipfile.ZipFile) -> None:
        tops = {name.split("/")[0] for name in wheel.namelist()}

        assert {top for top in tops if not top.endswith(".dist-info")} == {"ftetl"}
        assert not [name for name in wheel.namelist() if re.search(r"test|__pycache__|\.pyc$", name)]

    def test_it_holds_every_module_and_data_file(self, wheel: zipfile.ZipFile) -> None:
        kinds = (".py", ".typed", ".css", ".html", ".js", ".mplstyle", ".gz")
        here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ftetl").rglob("*") if p.suffix in kinds}

        page = {f"html_report/{name}" for name in ("script.js", "style.css", "templates/page.html")}
        assert {f"ftetl/{name}" for name in {"demo/jobs.json.gz", "py.typed", *page}} <= here
        assert here == {n for n in wheel.namelist() if n.startswith("ftetl/") and n.endswith(kinds)}

    def test_the_contracts_lie_in_the_package(self, wheel: zipfile.ZipFile) -> None:
        for name in tables():
            assert wheel.read(f"ftetl/schemas/{name}.toml") == (ROOT / "schemas" / f"{name}.toml").read_bytes()

    def test_the_jobs_of_the_demo_are_those_of_the_checkout(self, wheel: zipfile.ZipFile) -> None:
        name = "ftetl/demo/jobs.json.gz"

        assert wheel.read(name) == (ROOT / name).read_bytes()

    def test_it_says_what_it_is(self, wheel: zipfile.ZipFile) -> None:
        told = email.message_from_string(metadata(wheel, "METADATA"))
        needs = {re.split(r"[<>=; ]", need)[0] for need in told.get_all("Requires-Dist") if "extra ==" not in need}

        assert (told["Name"], told["Version"]) == ("ftetl", PROJECT["version"])
        assert told["Requires-Python"] == PROJECT["requires-python"]
        assert needs == {re.split(r"[<>=; ]", need)[0] for need in PROJECT["dependencies"]}
        assert told["License-Expression"] == "MIT"
        assert "MIT License" in metadata(wheel, "licenses/LICENSE")
        assert told.get_payload().startswith("# ftetl")

    def test_it_gives_the_command(self, wheel: zipfile.ZipFile) -> None:
        scripts = configparser.ConfigParser()
        scripts.read_string(metadata(wheel, "entry_points.txt"))

        assert dict(scripts["console_scripts"]) == {"ftetl": "ftetl.cli.main:run"}


class TestInstalled:
    def test_it_is_not_the_checkout_that_runs(self, site: Path, tmp_path: Path) -> None:
        told = installed(site, "-c", "import ftetl; print(ftetl.__file__, ftetl.__version__)", cwd=tmp_path)

        assert told.split() == [str(site / "ftetl" / "__init__.py"), PROJECT["version"]]

    def test_it_finds_its_contracts(self, site: Path, tmp_path: Path) -> None:
        code = "from ftetl.contract import tables; print(*(t.fingerprint for t in tables().values()))"

        assert installed(site, "-c", code, cwd=tmp_path).split() == [t.fingerprint for t in tables().values()]

    def test_the_demo_runs(self, site: Path, tmp_path: Path) -> None:
        told = installed(site, "-m", "ftetl", "demo", cwd=tmp_path)

        assert told.startswith("Written to ftetl-demo/current: ")
        assert (tmp_path / "ftetl-demo" / "current" / "jobs.parquet").is_file()

    def test_the_command_runs(self, site: Path, tmp_path: Path) -> None:
        told = installed(site, str(site / "bin" / "ftetl"), "--version", cwd=tmp_path)

        assert told == f"ftetl, version {PROJECT['version']}\n"


def test_the_sdist_holds_all_that_the_tests_need(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tests = [path for path in (ROOT / "tests").rglob("*") if path.is_file() and "__pycache__" not in path.parts]

    assert names >= {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "PKG-INFO",
        "Dockerfile",
        ".dockerignore",
        "schemas/README.md",
        "docs/sql.md",
        "ftetl/demo/jobs.json.gz",
    }
    assert names >= {f"schemas/{name}.toml" for name in tables()}
    assert names >= {f"docs/{path.name}" for path in (ROOT / "docs").iterdir()}
    assert names >= {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert names >= {path.relative_to(ROOT).as_posix() for path in tests}
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", ".hypothesis"))]
