"""A source is a file: what lies in the folder can be named and loaded."""

from __future__ import annotations

import pytest

from ftetl import sources
from ftetl.errors import ConfigError


def test_the_sources_are_the_files_of_the_folder() -> None:
    assert {"api", "saved"} <= set(sources.names())
    assert sources.names() == sorted(sources.names())


@pytest.mark.parametrize("name", sources.names())
def test_every_source_can_be_loaded(name: str) -> None:
    assert sources.load(name).__name__ == f"ftetl.sources.{name}"


@pytest.mark.parametrize("name", ["", "nothing", "api.open_api", "../sources/api"])
def test_an_unknown_source_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ConfigError, match=r"api.*saved"):
        sources.load(name)
