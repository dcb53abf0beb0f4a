"""The image: what the Dockerfile says, and, where a container engine runs, what comes of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ftetl
from ftetl import demo
from tests.cli.program import PATIENCE, environment, settings_of, words
from tests.demo.generator import generate_jobs
from tests.docs.pages import text_of

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
PAGE = text_of("schedulers.md")
BUILD, RUN = (re.search(rf"^docker {word} .*$", PAGE, re.MULTILINE) for word in ("build", "run"))
IMAGE = f"ftetl-test:{os.getpid()}"


def values(instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{instruction} ")]


class TestDockerfile:
    def test_it_copies_all_that_the_wheel_is_made_of_and_the_ignore_file_lets_it_through(self) -> None:
        copied = {name for line in values("COPY") if "--from" not in line for name in line.split()[:-1]}
        wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
            "wheel"
        ]
        let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

        assert copied == {"pyproject.toml", "README.md", "LICENSE", *wheel["packages"], *wheel["force-include"]}
        assert copied == let_through
        assert all((ROOT / name).exists() for name in copied)

    def test_it_runs_as_a_user_by_number_that_is_not_root_and_owns_the_volume(self) -> None:
        (user,), (volume,) = values("USER"), values("VOLUME")

        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
        assert any(f"chown {user} {volume}" in line for line in values("RUN"))
        assert LINES.index(f"USER {user}") > max(n for n, line in enumerate(LINES) if line.startswith("RUN "))

    def test_its_entry_point_is_the_program_itself_which_gets_the_signals(self) -> None:
        assert values("ENTRYPOINT") == ['["ftetl"]']
        assert values("STOPSIGNAL") == ["SIGTERM"]

    def test_its_python_is_one_that_ftetl_says_it_runs_on(self) -> None:
        versions = {re.match(r"python:(\d+\.\d+)-slim\b", line)[1] for line in values("FROM")}  # type: ignore[index]
        said = (ROOT / "pyproject.toml").read_text("utf-8")

        assert len(versions) == 1
        assert f"Python :: {versions.pop()}" in said


def test_the_page_names_the_user_and_the_volume_of_the_image() -> None:
    (user,), (volume,) = values("USER"), values("VOLUME")
    number = user.partition(":")[0]

    assert f"runs as user {number}" in PAGE
    assert f"runAsUser: {number}" in PAGE
    assert RUN is not None
    assert f"-v ftetl:{volume} " in RUN[0]
    assert "--read-only" in RUN[0]


@pytest.mark.skipif(not shutil.which("unshare"), reason="there is no unshare, which makes it process 1")
def test_as_process_1_on_a_read_only_root_a_run_works_and_sigterm_ends_it(tmp_path: Path) -> None:
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && ! touch /written 2>/dev/null && exec "$@"'
    alone = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script, str(tmp_path)]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces can be made here")
    env = environment(PYTHONDONTWRITEBYTECODE="1", TMPDIR="/nowhere", HOME="/nowhere")
    done = subprocess.run(
        [*alone, *words("demo", tmp_path / "t")], env=env, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert ftetl.open(tmp_path / "t").jobs.shape[0] == 360

    reached, over = threading.Event(), threading.Event()

    def wait(_: str) -> None:
        reached.set()
        over.wait(PATIENCE)

    with demo.serve(generate_jobs(count=3), fail=wait) as server:
        process = subprocess.Popen(
            [*alone, *words("export", tmp_path / "u")], env={**env, **settings_of(server)}, stderr=subprocess.PIPE
        )
        assert reached.wait(PATIENCE)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
        over.set()
    assert process.returncode == 143
    assert b"terminated; nothing was committed" in err


@cache
def engine() -> str:
    """The container engine that runs here; empty if none does."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return ""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The image, built as the page says."""
    if not engine():
        pytest.skip("no container engine runs here: neither `docker info` nor `podman info` succeeds")
    assert BUILD is not None
    line = [engine(), *BUILD[0].replace("ftetl:0.1.0", IMAGE).split()[1:]]
    built = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if built.returncode and re.search(r"(?i)pull|resolve|network|timeout|denied", built.stderr):
        pytest.skip("the Python image cannot be fetched here")
    assert built.returncode == 0, built.stderr
    yield IMAGE
    subprocess.run([engine(), "image", "rm", "-f", IMAGE], capture_output=True, check=False)


def test_the_image_runs_as_the_page_says(image: str) -> None:
    assert RUN is not None
    volume = f"ftetl-test-{os.getpid()}"
    start = RUN[0].partition(" ftetl:0.1.0 ")[0].replace("-v ftetl:", f"-v {volume}:").split()[1:]
    try:
        for arguments in (["demo", "exports"], ["verify", "exports"]):
            done = subprocess.run(
                [engine(), *start, image, *arguments],
                capture_output=True,
                text=True,
                timeout=10 * PATIENCE,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "ftetl: OK (0): exports: " in done.stderr
    finally:
        subprocess.run([engine(), "volume", "rm", "-f", volume], capture_output=True, check=False)
