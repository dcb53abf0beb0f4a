"""Refuses addresses such as `s3://bucket/x` where a local path is meant: as a path, it would be a folder `s3:`."""

from __future__ import annotations

import os
import re
from typing import Final

from ftetl.errors import ConfigError

# One slash: `pathlib` has made one of two. A scheme of one letter is a drive of Windows.
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_COPY: Final = "give a local path, and copy from or to there with that service's own tool (aws s3 sync, rclone)"
_WEB: Final = "for another address of the API give --base-url; download a saved response first"
_ADVICE: Final = {"file": "give the path alone, without file://", "http": _WEB, "https": _WEB}


def require_local_path(path: str | os.PathLike[str]) -> None:
    """Raise a `ConfigError` if a path is an address with a scheme; an absolute path never is."""
    found = _ADDRESS.match(os.fspath(path))
    if found:
        scheme = found[1].lower()
        what = f"{scheme}:// is not supported here: ftetl reads and writes local files and folders"
        raise ConfigError("P15", what, next=_ADVICE.get(scheme, _COPY))
