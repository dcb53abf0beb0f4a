"""The stand-in for the Together AI API: invented jobs in the wire's real shape, served over real HTTP on loopback."""

from __future__ import annotations

from ftetl.demo.jobs import DEFAULT_COUNT, DEFAULT_SEED, jobs
from ftetl.demo.server import DEFAULT_KEY, Server, serve
from ftetl.demo.team import OBSERVED_AT

__all__ = ["DEFAULT_COUNT", "DEFAULT_KEY", "DEFAULT_SEED", "OBSERVED_AT", "Server", "jobs", "serve"]
