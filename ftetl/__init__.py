"""All fine-tuning jobs of a Together AI project as tidy, validated tables.

    import ftetl
    report = ftetl.export("exports/", source="demo")
    snapshot = ftetl.open("exports/")
    snapshot.jobs                      # a pandas frame with Arrow-backed columns
    snapshot.arrow("events")           # a pyarrow table
    ftetl.load("exports/", "duckdb:jobs.duckdb")

Importing this imports neither pandas nor pyarrow; they come with the first call that needs them.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ftetl import errors

if TYPE_CHECKING:
    from ftetl import analysis
    from ftetl.load_result import LoadResult
    from ftetl.loading.load_snapshot import load
    from ftetl.pipeline.python_api import export
    from ftetl.run_report import Report
    from ftetl.snapshot.multi_project import open  # noqa: A004 - `ftetl.open` is what the users say
    from ftetl.snapshot.snapshot import Snapshot

__all__ = ["LoadResult", "Report", "Snapshot", "analysis", "errors", "export", "load", "open"]

LOADED_AT = time.time()  # a module that is replaced later may not be the one that runs

_MODULES = {
    "LoadResult": "load_result",
    "export": "pipeline.python_api",
    "load": "loading.load_snapshot",
    "open": "snapshot.multi_project",
    "Snapshot": "snapshot.snapshot",
    "Report": "run_report",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "analysis":
        return import_module("ftetl.analysis")
    if name in _MODULES:
        return getattr(import_module(f"ftetl.{_MODULES[name]}"), name)
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'ftetl' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("ftetl")
    except PackageNotFoundError:  # a bare checkout on the path
        return "0"
