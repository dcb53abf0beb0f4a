"""The demo API: a local HTTP server that responds as the Together AI API does, with 360 invented jobs."""

from __future__ import annotations

from ftetl.demo.api import SECOND_KEY
from ftetl.demo.jobs import OBSERVED_AT, load_jobs
from ftetl.demo.server import DEFAULT_KEY, Server, serve

__all__ = ["DEFAULT_KEY", "OBSERVED_AT", "SECOND_KEY", "Server", "load_jobs", "serve"]
