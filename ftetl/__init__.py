"""All fine-tuning jobs of a Together AI project as tidy, validated tables.

    import ftetl
    report = ftetl.export("exports/", source="demo")
    snapshot = ftetl.open("exports/")
    snapshot.jobs                      # a pandas frame with Arrow-backed columns
    snapshot.arrow("events")           # a pyarrow table

Importing this imports neither pandas nor pyarrow; they come with the first call that needs them.

The house, room by room. A module imports only from the lines above its own, and from its own line without a circle; a
test reads this list and every import.

    facts       errors faults limits clock times answers reasons lines
    settings    settings report progress
    contract    arrays grammar contract dictionary schema datapackage odcs ddl shape strict rows addresses named redact
    together    gunzip breakage credentials pseudonyms plugs remote patience exchange verdict together
    demo        demo
    sources     spool scrap crew sources origin
    scan        splitter element envelope scan
    decode      copies listed details receive raws rename careful unknown kinds fast decode
    flatten     cells flatten ahead
    formats     formats
    store       fs manifest sink lock claim janitor retention publish stage store shelf archive observed
    checks      stored checks charges focus focus_gate staging memo recall provenance
    merge       guards history side stream incoming kept doubts merge stages derived filling remarks
    snapshot    snapshot union
    analysis    words analysis
    page        page
    pipeline    private past pipeline rebuild records metrics calls doctor
    cli         talk options demo_end dictionary_view runs_view page_made ends cli __main__
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ftetl import errors

if TYPE_CHECKING:
    from ftetl.calls import export
    from ftetl.report import Report
    from ftetl.snapshot import Snapshot
    from ftetl.union import open  # noqa: A004 - `ftetl.open` is what the users say

__all__ = ["Report", "Snapshot", "errors", "export", "open"]

try:
    __version__ = version("ftetl")
except PackageNotFoundError:  # a bare checkout on the path
    __version__ = "0"

_ROOMS = {"export": "calls", "open": "union", "Snapshot": "snapshot", "Report": "report"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"ftetl.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'ftetl' has no attribute {name!r}")
