"""An address such as `s3://bucket/x` is refused wherever a local path is meant, and no folder `s3:` comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.config.local_path import require_local_path
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError

ADDRESSES = {
    "s3://bucket/x": "rclone",
    "S3A://bucket": "rclone",
    "gs://bucket/x": "rclone",
    "abfss://c@account/x": "rclone",
    "https://example.com/jobs.json": "--base-url",
    "file:///tmp/x": "without file://",
    "s3:/bucket/x": "rclone",  # as pathlib writes it
}


@pytest.mark.parametrize(("address", "advice"), ADDRESSES.items())
def test_an_address_is_refused_with_what_to_do(address: str, advice: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_local_path(address)

    assert advice in refused.value.next
    assert "bucket" not in str(refused.value)  # nor a password, which an address may hold


@pytest.mark.parametrize(
    "path", ["exports", "a/s3:/b", "/s3://b", "./s3://b", "C:/x", r"C:\x", "s3", "s3:", "a b:/x", "-"]
)
def test_a_local_path_is_not(path: str) -> None:
    require_local_path(path)


@pytest.mark.parametrize("name", ["source", "publish", "metrics_file", "api_key_file", "pii_key_file"])
@pytest.mark.parametrize("kind", [str, Path])
def test_every_path_among_the_settings_is_checked(name: str, kind: type) -> None:
    paths: dict[str, Any] = {"target": "t", "source": "demo", name: kind("s3://bucket/x"), "pii": "hash"}

    with pytest.raises(ConfigError, match="s3://"):
        Settings.from_options(paths.pop("target"), paths.pop("source"), paths)


@pytest.mark.parametrize("address", ["s3a://bucket/x", "https://example.com/x"])
def test_a_target_is_not_at_an_address_of_another_kind(address: str) -> None:
    with pytest.raises(ConfigError, match="is not supported here"):
        ftetl.open(address)
    with pytest.raises(ConfigError, match="is not supported here"):
        Settings.from_options(Path(address), "demo", {})
