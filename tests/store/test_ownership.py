"""Which folders may become targets, who may read them, and that nothing of anybody else's is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ftetl
from ftetl.errors import ConfigError, FtetlError, TargetError
from ftetl.store.target import Target


def commit(path: Path, data: bytes = b"data", file_mode: int = 0o600) -> None:
    with Target(path, file_mode=file_mode) as target, target.begin_transaction() as transaction:
        for name in ("a", "b"):
            with transaction.create_file(name) as file:
                file.write(name.encode() + (data if name == "a" else b""))
        transaction.commit({})


def modes(path: Path) -> dict[str, int]:
    """The permissions of everything in a folder but links; run ids are written as RUN."""
    found = {p: p.lstat().st_mode & 0o777 for p in [path, *path.rglob("*")] if not p.is_symlink()}
    run_id = (path / "current").readlink().name
    return {str(p.relative_to(path)).replace(run_id, "RUN"): mode for p, mode in found.items()}


def state(path: Path) -> list[tuple[str, int, int, bytes]]:
    """All there is to know of what is in a folder."""
    stats = [(p, p.lstat()) for p in sorted([path, *path.rglob("*")])]
    return [(str(p), s.st_mode, s.st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p, s in stats]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_missing_folder_is_made_with_those_above_it(tmp_path: Path, umask: None) -> None:
    commit(tmp_path / "x" / "y" / "target")

    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("x", "x/y", "x/y/target")} == {0o700}


def test_a_relative_folder_is_one_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commit(Path("target"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    commit(Path())

    assert (tmp_path / "target" / "current" / "a").exists()
    assert (tmp_path / "here" / "current" / "a").exists()


def test_everything_is_for_this_user_only(target: Path, umask: None) -> None:
    commit(target)

    found = modes(target)
    assert found.pop("_ftetl/lock") == 0o600
    folders = {".", "_ftetl", "_ftetl/failed", "_ftetl/manifests", "_ftetl/runs", "snapshots", "snapshots/RUN"}
    assert {name for name, mode in found.items() if mode == 0o700} == folders
    assert {mode for name, mode in found.items() if name not in folders} == {0o600}


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"), [(0o640, 0o750), (0o644, 0o755), (0o660, 0o770), (0o600, 0o700)], ids=oct
)
def test_a_wider_mode_is_for_what_readers_need(file_mode: int, folder_mode: int, target: Path, umask: None) -> None:
    commit(target, file_mode=file_mode)

    assert modes(target) == {
        ".": folder_mode,
        "_ftetl": folder_mode,
        "_ftetl/failed": 0o700,
        "_ftetl/format": file_mode,
        "_ftetl/lock": 0o600,
        "_ftetl/manifests": folder_mode,
        f"_ftetl/manifests/{1:020d}.json": file_mode,
        "_ftetl/runs": folder_mode,
        "snapshots": folder_mode,
        "snapshots/RUN": folder_mode,
        "snapshots/RUN/a": file_mode,
        "snapshots/RUN/b": file_mode,
    }


@pytest.mark.parametrize("data", [b"data", b"changed"], ids=["nothing changed", "one of two changed"])
@pytest.mark.parametrize(("before", "after"), [(0o600, 0o640), (0o640, 0o600)], ids=oct)
def test_another_mode_is_that_of_the_newest_snapshot_at_once(
    before: int, after: int, data: bytes, target: Path
) -> None:
    commit(target, file_mode=before)
    commit(target, data, file_mode=after)

    found = modes(target)
    assert found["snapshots/RUN/a"] == found["snapshots/RUN/b"] == after
    assert found["snapshots/RUN"] == found["snapshots"] == after | (after & 0o444) >> 2


def test_an_empty_folder_keeps_its_mode(target: Path) -> None:
    target.mkdir()
    target.chmod(0o751)
    commit(target)

    assert target.stat().st_mode & 0o777 == 0o751


def a_file(path: Path) -> None:
    path.write_bytes(b"x")


def a_link_to_a_folder(path: Path) -> None:
    path.with_name("real").mkdir()
    path.symlink_to("real")


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def somebodys_data(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_bytes(b"x")


def somebodys_control_folder(path: Path) -> None:
    (path / "_ftetl" / "manifests").mkdir(parents=True)
    (path / "_ftetl" / "manifests" / "x").write_bytes(b"x")


def data_beside_a_half_made_target(path: Path) -> None:
    (path / "_ftetl").mkdir(parents=True)
    (path / "thesis.tex").write_bytes(b"x")


def another_tools_format(path: Path) -> None:
    (path / "_ftetl").mkdir(parents=True)
    (path / "_ftetl" / "format").write_bytes(b'{"format":1,"tool":"other"}')


def a_format_of_no_shape(path: Path) -> None:
    (path / "_ftetl").mkdir(parents=True)
    (path / "_ftetl" / "format").write_bytes(b"\xff")


def a_control_folder_that_is_a_link(path: Path) -> None:
    commit(path)
    (path / "_ftetl").rename(path.with_name("real"))
    (path / "_ftetl").symlink_to("../real")


def everybodys_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def in_everybodys_folder(path: Path) -> None:
    path.mkdir()
    path.parent.chmod(0o777)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file": (a_file, "{} is not a folder; choose an empty folder"),
    "a link": (a_link_to_a_folder, "{} is a symbolic link; give the folder that it leads to"),
    "a dangling link": (a_dangling_link, "{} is a symbolic link"),
    "data": (somebodys_data, "{} is not empty and not a target of ftetl; choose an empty folder, or one that does"),
    "a control folder": (somebodys_control_folder, "{} is not empty and not a target of ftetl"),
    "data beside": (data_beside_a_half_made_target, "{} is not empty and not a target of ftetl"),
    "another tool": (another_tools_format, "{}/_ftetl/format is not ftetl's; choose an empty folder"),
    "no format": (a_format_of_no_shape, "{}/_ftetl/format is not ftetl's"),
    "a linked control folder": (a_control_folder_that_is_a_link, "cannot open {}/_ftetl: a file or a symbolic link"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused_and_left_as_it_is(make: Callable[[Path], None], words: str, target: Path) -> None:
    make(target)
    before = state(target.parent)

    with pytest.raises(TargetError) as caught:
        Target(target)

    assert str(caught.value).startswith(words.format(target))
    assert state(target.parent) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (everybodys_folder, "{} can be changed by everybody"),
        (in_everybodys_folder, "the folder that {} is in can be changed by everybody"),
    ],
)
def test_a_folder_of_everybodys_is_used_with_a_warning_as_volumes_of_containers_are_such(
    make: Callable[[Path], None], words: str, target: Path
) -> None:
    make(target)

    with Target(target) as opened:
        assert [line.split(";")[0] for line in opened.warnings] == [words.format(target)]


def test_a_sticky_folder_of_everybodys_will_do(target: Path) -> None:
    target.parent.chmod(0o1777)
    target.mkdir()
    target.chmod(0o1777)

    commit(target)


def test_a_newer_format_is_refused_and_left_as_it_is(target: Path) -> None:
    commit(target)
    (target / "_ftetl" / "format").write_bytes(b'{"format":2,"tool":"ftetl","new":[]}')
    before = state(target)

    with pytest.raises(ConfigError, match=f"{target} was written by a newer ftetl: its format is 2, this one knows 1"):
        Target(target)

    assert state(target) == before


@pytest.mark.parametrize("part", ["snapshots", "_ftetl/manifests", "_ftetl/runs", "_ftetl/failed", "_ftetl/lock"])
def test_a_link_in_place_of_a_part_is_refused_and_not_followed(part: str, target: Path) -> None:
    commit(target)
    (target / part).rename(target.with_name("real"))
    (target / part).symlink_to(target.with_name("real"))
    before = state(target.with_name("real"))

    with pytest.raises(TargetError, match=f"{target / part}: a file or a symbolic link stands in its place"):
        Target(target)

    assert state(target.with_name("real")) == before


@pytest.mark.parametrize(
    "left", [[], ["_ftetl/"], ["_ftetl/", "_ftetl/lock"], ["_ftetl/", "_ftetl/lock", "_ftetl/.tmp-x-format"]]
)
def test_a_target_that_was_only_half_made_is_made(left: list[str], target: Path) -> None:
    target.mkdir()
    for name in left:
        (target / name).mkdir() if name.endswith("/") else (target / name).write_bytes(b"")

    commit(target)

    assert sorted(path.name for path in (target / "_ftetl").iterdir()) == [
        "failed",
        "format",
        "lock",
        "manifests",
        "runs",
    ]


def as_nobody(tmp_path: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Open a target as uid 65534; by a relative path, since folders above may be root's alone."""
    code = """
import fcntl, json, os, pathlib, sys
from ftetl.store.target import Target
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Target(pathlib.Path(sys.argv[1])).close()
except BaseException as error:
    print(type(error).__name__, error, sep=": ")
"""
    command = [sys.executable, "-c", code, target]
    return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(ftetl.__file__).parents[1])}


PERMISSIONS = {
    "all of it is ours": (None, ""),
    "the folder": (".", "TargetError: cannot write to target: no permission"),
    "the control folder": ("_ftetl", "TargetError: cannot write to target/_ftetl: no permission"),
    "the snapshots": ("snapshots", "TargetError: cannot write to target/snapshots: no permission"),
    "the manifests": ("_ftetl/manifests", "TargetError: cannot write to target/_ftetl/manifests: no permission"),
    "the records": ("_ftetl/runs", "TargetError: cannot write to target/_ftetl/runs: no permission"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("part", "words"), PERMISSIONS.values(), ids=PERMISSIONS.keys())
def test_where_a_part_cannot_be_written_the_target_is_refused(part: str | None, words: str, tmp_path: Path) -> None:
    commit(tmp_path / "target", file_mode=0o644)
    for path in [tmp_path / "target", *(tmp_path / "target").rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    if part:
        os.chown(tmp_path / "target" / part, 0, 0)
    if part and part != ".":
        (tmp_path / "target" / part).chmod(0o700 | 0o055)
    tmp_path.chmod(0o755)

    said = as_nobody(tmp_path, "target").stdout
    assert said.startswith(words)
    assert bool(said) is bool(words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    os.chown(tmp_path / "target", 65533, 65533)
    (tmp_path / "target").chmod(0o777 | 0o1000)
    tmp_path.chmod(0o755)

    assert as_nobody(tmp_path, "target").stdout.startswith("TargetError: target belongs to another user")


@pytest.mark.parametrize("where", ["/proc/target", "link/target"])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_where_there_are_no_folders_the_target_is_refused(where: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")

    with pytest.raises(TargetError, match=r"cannot make .*target: no folder can be made in "):
        Target(tmp_path / where)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_where_no_folder_can_be_made_the_target_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    assert as_nobody(tmp_path, "target").stdout.startswith("TargetError: cannot make target: permission denied")


def test_a_read_only_file_system_is_refused(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    probe = [str(unshare), "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"', str(tmp_path)]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("a read-only mount cannot be made here")
    commit(tmp_path / "target")
    code = """
import pathlib, sys
from ftetl.store.target import Target
for name in ("target", "new"):
    try:
        Target(pathlib.Path(sys.argv[1]) / name)
    except BaseException as error:
        print(type(error).__name__, error, sep=": ")
"""
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$1" -c "$2" "$0"'
    command = [unshare, "-m", "sh", "-c", script, str(tmp_path), sys.executable, code]
    path = {"PATH": os.environ["PATH"]}
    said = subprocess.run(command, env=environment() | path, capture_output=True, text=True, check=True).stdout

    assert said.splitlines() == [
        f"TargetError: cannot write to {tmp_path}/target: no permission, or the file system is read-only; "
        "give this user the right to, or choose another folder",
        f"TargetError: cannot make {tmp_path}/new: the file system is read-only; choose a folder that can be written "
        "to",
    ]


def test_every_refusal_is_an_ftetl_error_with_an_exit_code(target: Path) -> None:
    target.write_bytes(b"")
    with pytest.raises(FtetlError) as caught:
        Target(target)

    assert caught.value.exit.code == 73
