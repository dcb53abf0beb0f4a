"""Where raw jobs come from: one module a source (the API, the demo API, saved files).

A source hands over bytes, and says when and from where they came; it does not look into an answer. `open_source`
imports only the source that a run reads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ftetl.clock import Deadline
from ftetl.config.settings import Settings
from ftetl.extract.source import Source


def open_source(
    settings: Settings, scratch: Callable[[], Path], progress: Callable[[int], None] | None = None
) -> Source:
    """The source of a run, before anything was asked of it; `scratch` makes a folder to unpack into.

    Raises:
        ConfigError: The key or the address is missing or malformed.
        DataError: There is no such file.
    """
    if settings.source == "demo":
        from ftetl.extract.sources.demo import DemoSource

        return DemoSource(
            concurrency=settings.concurrency,
            deadline=Deadline(settings.deadline),
            max_bytes=settings.max_bytes,
            progress=progress,
        )
    if settings.source == "api":
        from ftetl.extract.sources.api import open_api

        return open_api(
            settings.environ,
            settings.api_key_file,
            settings.base_url,
            deadline=Deadline(settings.deadline),
            max_bytes=settings.max_bytes,
            concurrency=settings.concurrency,
            progress=progress,
        )
    from ftetl.extract.sources.files import SavedFiles

    return SavedFiles(settings.source, scratch=scratch, max_bytes=settings.max_bytes, observed_at=settings.observed_at)
