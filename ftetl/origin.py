"""Which source a run reads, from the words of its settings.

Knows the names of the sources, nothing of what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ftetl.clock import Deadline
from ftetl.config.settings import Settings
from ftetl.raw.response import Source


def open_source(
    settings: Settings, scratch: Callable[[], Path], progress: Callable[[int], None] | None = None
) -> Source:
    """The source of a run, before anything was asked of it; `scratch` makes a folder to unpack into.

    Raises:
        ConfigError: The key or the address is missing or malformed.
        DataError: There is no such file.
    """
    if settings.source == "demo":
        from ftetl.sources.demo import Demo

        return Demo(
            concurrency=settings.concurrency,
            deadline=Deadline(settings.deadline),
            max_bytes=settings.max_bytes,
            progress=progress,
        )
    if settings.source == "api":
        from ftetl.sources.api import open_api

        return open_api(
            settings.environ,
            settings.api_key_file,
            settings.base_url,
            deadline=Deadline(settings.deadline),
            max_bytes=settings.max_bytes,
            concurrency=settings.concurrency,
            progress=progress,
        )
    from ftetl.sources.saved import Saved

    return Saved(settings.source, scratch=scratch, max_bytes=settings.max_bytes, observed_at=settings.observed_at)
