"""What `import ftetl` offers, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ftetl

HEAVY = {"duckdb", "numpy", "pandas", "pandera", "polars", "pyarrow", "requests", "rich", "urllib3"}
LISTING = "import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def test_the_public_names_are_these() -> None:
    assert ftetl.__all__ == ["LoadResult", "Report", "Snapshot", "analysis", "errors", "export", "load", "open"]
    assert dir(ftetl) == sorted([*ftetl.__all__, "__version__"])


@pytest.mark.parametrize("name", ftetl.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(ftetl, name)

    assert thing.__doc__
    assert thing is getattr(ftetl, name)


def test_what_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        ftetl.exprot  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import ftetl",
        "import ftetl.cli.main",
        "import ftetl.contract; ftetl.contract.tables()",
        "import ftetl.store.manifest",  # so that reading works on Windows too
        "from ftetl.cli.main import cli; cli.main(['export', '--help'], standalone_mode=False)",
    ],
    ids=["the package", "the command line", "the contracts", "the manifests", "export --help"],
)
def test_it_costs_no_heavy_import(root: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LISTING}"], cwd=root, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))

    assert "ftetl" in loaded
    assert not loaded & HEAVY


def test_it_types_its_names(root: Path) -> None:
    assert (root / "ftetl" / "py.typed").is_file()
