"""Which source a run reads: the words of its settings say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftetl.config.settings import Settings
from ftetl.errors import ConfigError, DataError
from ftetl.extract.sources import open_source


def no_scratch() -> Path:
    raise AssertionError("nothing was to be unpacked")


@pytest.mark.parametrize(
    ("source", "environ", "kind"), [("api", {"TOGETHER_API_KEY": "k" * 40}, "ApiSource"), ("demo", {}, "DemoSource")]
)
def test_a_service_is_opened_by_its_name(source: str, environ: dict[str, str], kind: str) -> None:
    opened = open_source(Settings(Path("t"), source=source, environ=environ), no_scratch)
    try:
        assert type(opened).__name__ == kind
    finally:
        opened.close()


def test_everything_else_is_a_saved_file(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_text('{"data": []}')

    assert type(open_source(Settings(Path("t"), source=str(file)), no_scratch)).__name__ == "SavedFiles"


def test_the_api_without_a_key_is_refused_before_the_first_request() -> None:
    with pytest.raises(ConfigError, match="TOGETHER_API_KEY"):
        open_source(Settings(Path("t"), source="api", environ={}), no_scratch)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        open_source(Settings(Path("t"), source=str(tmp_path / "no.json")), no_scratch)


@pytest.mark.parametrize(("source", "meant"), [("dmo", "demo"), ("Demo", "demo"), ("apis", "api"), ("API", "api")])
def test_where_the_file_that_is_not_there_is_nearly_a_word_that_is_said(source: str, meant: str) -> None:
    with pytest.raises(DataError) as refused:
        open_source(Settings(Path("t"), source=source), no_scratch)

    assert (refused.value.code, refused.value.next) == ("FTETL-F01", f"did you mean {meant}?")
