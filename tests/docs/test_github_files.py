"""The files for contributors and their host are valid, and the workflow runs what CI is."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT

GITHUB = ROOT / ".github"
TEMPLATES = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))


def schema_of(path: Path) -> str:
    if path.parent.name == "workflows":
        return "vendor.github-workflows"
    return "vendor.github-issue-config" if path.name == "config.yml" else "vendor.github-issue-forms"


@pytest.mark.parametrize("path", [*TEMPLATES, *(GITHUB / "workflows").glob("*.yml")], ids=lambda path: path.name)
def test_a_file_obeys_its_schema(path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema_of(path), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text("utf-8"))
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]

    assert "bash .ci/run" in steps


def test_the_hooks_call_programs_that_the_test_extra_installs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    entries = [hook["entry"].split()[0] for repo in config["repos"] for hook in repo["hooks"]]

    assert {program: metadata.version(program) for program in set(entries)}.keys() == {"mypy", "ruff"}
