"""Where in this package an error was raised, for a bug report."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

_PACKAGE = Path(__file__).parents[1]


def place_in_package(error: BaseException) -> str:
    """The innermost frame of an error in this package, such as `pipeline/run.py:120`; libraries' frames do not count.

    It holds nothing of the error's text, which may hold data.
    """
    ours = [frame for frame in extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_PACKAGE)]
    if not ours:
        return "an unknown place"
    return f"{Path(ours[-1].filename).relative_to(_PACKAGE).as_posix()}:{ours[-1].lineno}"
