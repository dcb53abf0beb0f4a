"""Where raw jobs come from: one module a source, found by its file name.

A new source is a new file here. A source must not know what lies in an answer: it hands over bytes, and says when and
from where they came (`ftetl.answers.Source`).
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from ftetl.errors import ConfigError


def names() -> list[str]:
    """The sources that exist, in alphabetical order."""
    return sorted(module.name for module in iter_modules(__path__))


def load(name: str) -> ModuleType:
    """The source of this name.

    Raises:
        ConfigError: There is no such source.
    """
    if name not in names():
        raise ConfigError("P05", "unknown source", next=f"choose one of: {', '.join(names())}")
    return import_module(f"{__name__}.{name}")
