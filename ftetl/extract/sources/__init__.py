"""Where raw jobs come from: one module a source (the API, the demo API, saved files).

A source returns bytes, with where and when they were received; it does not parse them. `open_source` imports only the
source that a run reads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ftetl.clock import Deadline
from ftetl.config.settings import Settings
from ftetl.errors import PREFIX, DataError
from ftetl.extract.source import Source
from ftetl.formatting import did_you_mean

SERVICES = ("api", "demo")


def open_source(
    settings: Settings, scratch: Callable[[], Path], on_bytes: Callable[[int], None] | None = None
) -> Source:
    """The source of a run; no request was sent yet.

    Args:
        settings: The settings of the run.
        scratch: Makes a folder for unpacked files.
        on_bytes: Is called with the number of bytes received so far.

    Raises:
        ConfigError: The key or the address is missing or malformed.
        DataError: There is no such file.
    """
    if settings.source not in SERVICES:
        return _open_saved_files(settings, scratch)
    from ftetl.extract.together_api.transport import RequestLimits

    limits = RequestLimits(Deadline(settings.deadline), settings.max_bytes, settings.concurrency)
    if settings.source == "demo":
        from ftetl.extract.sources.demo import DemoSource

        return DemoSource(limits=limits, on_bytes=on_bytes)
    from ftetl.extract.sources.api import open_api

    return open_api(settings.environ, settings.api_key_file, settings.base_url, limits=limits, on_bytes=on_bytes)


def _open_saved_files(settings: Settings, scratch: Callable[[], Path]) -> Source:
    from ftetl.extract.sources.files import SavedFiles

    try:
        return SavedFiles(
            settings.source,
            scratch=scratch,
            max_bytes=settings.max_bytes,
            skip_broken=settings.skip_broken,
            observed_at=settings.observed_at,
        )
    except DataError as error:
        if error.code == f"{PREFIX}F01":
            error.next = did_you_mean(settings.source, SERVICES, error.next)
        raise
