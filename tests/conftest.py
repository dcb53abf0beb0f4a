"""What every test may rely on: no real settings of this machine, hypothesis without a clock, paths of the project."""

from __future__ import annotations

import ast
import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

if sys.version_info < (3, 11, 8):
    # python/cpython#106905: until 3.11.8 all threads share the count of a parse's depth, and whatever the garbage
    # collector runs in the middle of one may let another thread in: SystemError, out of hypothesis as well.
    _parse, _one_at_a_time = ast.parse, threading.RLock()

    def _parse_undisturbed(*args: Any, **named: Any) -> Any:
        with _one_at_a_time:
            collects = gc.isenabled()
            gc.disable()
            try:
                return _parse(*args, **named)
            finally:
                if collects:
                    gc.enable()

    ast.parse = _parse_undisturbed

# No deadlines: speed lives in the benchmarks, and a slow machine must not turn the suite red.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.register_profile("long", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no proxy and no login of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("TOGETHER_") or name.lower().endswith("_proxy") or name == "REQUESTS_CA_BUNDLE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def root() -> Path:
    """The folder of the project."""
    return ROOT
