"""Who the key is, for a run: the settings that a new target takes from it, and that it keeps afterwards.

A later run of the target takes them from its newest version, so that nothing depends on whether the service responds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ftetl.config.settings import PII, PROJECT, Settings
from ftetl.extract.key_owner import KeyOwner

FACT = "key_defaults"  # the fact of a version: the settings that the target took from its first key


def visible_owner(settings: Settings, owner: KeyOwner | None) -> KeyOwner | None:
    """The owner as far as it may be stored: with `--pii` only its ids."""
    return owner if owner is None or settings.pii == PII[0] else owner.without_names()


def with_defaults(settings: Settings, owner: KeyOwner | None, facts: Mapping[str, Any] | None) -> Settings:
    """The settings; those that no option gives are the target's, or the owner's for a new target.

    Args:
        settings: of the run.
        owner: whose the key is, as far as it may be stored.
        facts: of the target's newest version; None for a new target.
    """
    defaults = (owner.defaults if owner else {}) if facts is None else facts.get(FACT, {})
    values: dict[str, Any] = {name: value for name, value in defaults.items() if getattr(settings, name) is None}
    return replace(settings, **{"project": settings.label, **values})


def defaults_to_store(settings: Settings, owner: KeyOwner | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fact of the next version: that of the version before, or what a new target has taken from the owner."""
    if facts:
        return {FACT: facts[FACT]} if FACT in facts else {}
    taken = {n: value for n, value in (owner.defaults if owner else {}).items() if getattr(settings, n) == value}
    return {FACT: taken} if taken else {}


def label_of(settings: Settings, facts: Mapping[str, Any] | None) -> str:
    """The project's label of a run that may not have come to `with_defaults`."""
    stored: str = (facts or {}).get(FACT, {}).get("project", PROJECT)
    return settings.project or stored
