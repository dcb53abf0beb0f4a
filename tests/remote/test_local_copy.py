"""The temporary folder of a copy: private, gone at the end, and removed by a later run if its own was killed."""

from __future__ import annotations

import gc
import os
import stat
import tempfile
from pathlib import Path

import pytest

from ftetl.config.object_address import ObjectAddress
from ftetl.errors import StorageError
from ftetl.errors.os_errors import error_for_operation
from ftetl.remote.local_copy import TemporaryFolder, shown_as

ADDRESS = ObjectAddress("s3", "bucket", "x")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_gone_at_the_end(temporary: Path) -> None:
    with TemporaryFolder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").write_text("x")
    collected = TemporaryFolder()
    path = collected.path
    del collected
    gc.collect()

    assert not path.exists()
    assert [*temporary.iterdir()] == []


def test_what_a_killed_run_left_is_removed_and_what_is_in_use_or_new_is_not(temporary: Path) -> None:
    used = TemporaryFolder()
    left, new, foreign = (temporary / name for name in ("ftetl-copy-left", "ftetl-copy-new", "other"))
    for folder in (left, new, foreign):
        folder.mkdir()
        (folder / "file").write_text("x")
    for folder in (left, foreign, used.path):
        os.utime(folder, (0, 0))

    with TemporaryFolder():
        pass

    assert {*temporary.iterdir()} == {used.path, new, foreign}
    used.close()


def test_errors_name_the_target_unless_the_disk_is_the_reason(temporary: Path) -> None:
    with pytest.raises(StorageError) as shown, shown_as(temporary, ADDRESS):
        raise StorageError("S13", f"{temporary}/a is damaged", next=f"look at {temporary}")
    full = OSError(28, "full")
    with pytest.raises(StorageError) as local, shown_as(temporary, ADDRESS):
        raise error_for_operation(full, "write", temporary / "a") from full

    assert str(shown.value) == "s3://bucket/x/a is damaged; look at s3://bucket/x"
    assert str(temporary) in str(local.value)
