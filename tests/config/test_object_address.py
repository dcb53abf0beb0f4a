"""The address of a target in an object store is understood as text and as a path, or refused without being repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftetl.config.object_address import ObjectAddress, parse_address
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket", ObjectAddress("s3", "bucket", "")),
        ("s3://bucket/", ObjectAddress("s3", "bucket", "")),
        ("s3://bucket/a/b c/", ObjectAddress("s3", "bucket", "a/b c")),
        ("gs://my.bucket_1/year=2026", ObjectAddress("gs", "my.bucket_1", "year=2026")),
        ("az://container/x", ObjectAddress("az", "container", "x")),
    ],
)
def test_it_has_a_bucket_and_a_prefix(text: str, address: ObjectAddress) -> None:
    assert parse_address(text) == parse_address(Path(text)) == address
    assert str(address) == text.rstrip("/")
    settings = Settings.from_options(text, "demo", {})
    assert (settings.address, settings.shown_target) == (address, str(address))


@pytest.mark.parametrize(
    "text", ["exports", "/s3://b", "./s3://b", "s3", "s3:", "https://b/x", "s3a://b/x", "C:/x", ""]
)
def test_a_path_and_an_address_of_another_kind_are_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "s3://",
            "s3:///x",
            "s3://b",
            "s3://Bucket/x",
            "s3://secret:word@bucket/x",
            "s3://bucket/a//b",
            "s3://bucket/../x",
        ),
        *("s3://bucket/./x", "s3://bucket/x?secret", "s3://bucket/x#y", "s3://bucket/.hidden", "s3://bucket/a\nb"),
        "s3://bucket/" + "x" * 300,
    ],
)
def test_a_malformed_one_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address(text)

    assert refused.value.code == "FTETL-P19"
    assert "secret" not in str(refused.value)
