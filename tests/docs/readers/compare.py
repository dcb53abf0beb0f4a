"""The table on what each reader makes of the files, as Markdown, and its place in docs/bi.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.docs.readers import files, probes

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "bi.md"
BEGIN, END = "<!-- made by: python -m tests.docs.readers -->\n", "<!-- end of what is made -->\n"
KINDS = {"parquet": "Parquet", "csv": "CSV"}
# Spark starts faster so, and listens on this machine only; daft tells nobody that it runs.
ENVIRONMENT = {
    "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "SPARK_LOCAL_IP": "127.0.0.1",
    "DO_NOT_TRACK": "true",
}


def run(environment: str, *words: str, cwd: Path) -> str:
    """What a reader prints, in a process of its own."""
    command = [f"{environment}/bin/python", "-W", "ignore", *words]
    env = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr}")
    return done.stdout


def rows(environment: str, reader: str, folder: Path) -> str:
    """The rows of one reader."""
    files.write(folder)
    found = run(environment, str(HERE / "probes.py"), reader, str(folder), cwd=folder)
    answer: dict[str, Any] = json.loads(found.splitlines()[-1])
    lines = []
    for kind in (kind for kind in KINDS if kind in answer):
        name = f"{reader} {answer['version']}" if kind == "parquet" else " "
        lines.append(f"| {name} | {KINDS[kind]} | {' | '.join(answer[kind][head] for head in probes.HEADS)} |\n")
    return "".join(lines)


def written() -> str:
    """The table that the page has."""
    return PAGE.read_text("utf-8").split(BEGIN)[1].split(END)[0]


def replaced(rows: str) -> str:
    """The page with these rows in its table."""
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    heads = f"| reader | file | {' | '.join(probes.HEADS)} |\n| --- | --- |{' --- |' * len(probes.HEADS)}\n"
    return before + BEGIN + heads + rows + END + rest.split(END)[1]
