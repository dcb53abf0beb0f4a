"""`ftetl.export` names every setting in its signature, with the default of the command line."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from pathlib import Path

import pytest

import ftetl
from ftetl.config import settings
from ftetl.config.settings import Settings
from ftetl.errors import UsageError
from ftetl.pipeline.python_api import export

SIGNATURE = inspect.signature(ftetl.export).parameters
KEYWORDS = {name: p for name, p in SIGNATURE.items() if p.kind is p.KEYWORD_ONLY}


def test_its_keywords_are_the_settings_with_their_defaults() -> None:
    fields = {f.name: f.default for f in dataclasses.fields(Settings) if f.name not in ("target", "environ")}

    assert {name: p.default for name, p in KEYWORDS.items() if name != "environ"} == fields
    assert KEYWORDS["environ"].default is None


@pytest.mark.parametrize("name", KEYWORDS)
def test_every_keyword_has_a_type_and_a_line_of_explanation(name: str) -> None:
    assert name in typing.get_type_hints(export)
    assert f"\n        {name}: " in str(export.__doc__)


@pytest.mark.parametrize("name", ["events", "quarantine", "pii"])
def test_the_words_of_a_type_are_those_of_the_setting(name: str) -> None:
    assert typing.get_args(typing.get_type_hints(export)[name]) == getattr(settings, name.upper())


@pytest.mark.parametrize(
    ("given", "meant"),
    [("format", "did you mean formats?"), ("obseved_at", "did you mean observed_at?"), ("xyz", "--help")],
)
def test_an_unknown_setting_is_answered_with_the_one_that_was_meant(tmp_path: Path, given: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"there is no setting '{given}'; ") as refused:
        ftetl.export(tmp_path / "t", source="demo", **{given: "csv"})

    assert meant in refused.value.next
