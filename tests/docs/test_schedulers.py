"""The recipes of docs/schedulers.md: each is read by what will read it, and its exit codes are those of the table."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftetl.cli.main import cli
from ftetl.config import limits
from ftetl.errors import EXITS
from tests.cli.program import CLI_COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "schedulers.md").read_text("utf-8")
BINARY = "/opt/ftetl/bin/ftetl"
AIRFLOW = os.environ.get("FTETL_AIRFLOW", "")  # the Python of an environment that has it

COMMITTED = {e.code for e in EXITS.values() if e.committed}
TRY_AGAIN = {e.code for e in EXITS.values() if e.retryable}
PERMANENT = {e.code for e in EXITS.values()} - COMMITTED - TRY_AGAIN
CODES = sorted(COMMITTED | TRY_AGAIN | PERMANENT)


def block(language: str, number: int = 0) -> str:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found[number]


CRON = block("cron").strip()
SERVICE, TIMER = block("ini"), block("ini", 1)
CRONJOB, WORKFLOW = block("yaml"), block("yaml", 1)
DAG = block("python")


def parsed(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(text)
    return found


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A program in the place of ftetl: it says what it was called with, and ends as FAKE_EXIT wants."""
    path = tmp_path / "bin" / "ftetl"
    path.parent.mkdir()
    path.write_text(
        '#!/bin/sh\necho "$0" "$@" >> "$FAKE_LOG"\necho "ftetl: NAME ($FAKE_EXIT)" >&2\nexit "$FAKE_EXIT"\n'
    )
    path.chmod(0o755)
    return path


def ended(fake: Path, given: list[str], code: int, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{fake.parent}:/usr/bin:/bin",
        "FAKE_EXIT": str(code),
        "FAKE_LOG": str(fake.parent / "log"),
    } | environ
    return subprocess.run(given, env=env, capture_output=True, text=True, check=False)


def calls(fake: Path) -> list[str]:
    return (fake.parent / "log").read_text().splitlines()


def test_every_code_stands_in_the_table_and_where_it_belongs() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| [^|]+ \| ([^|,]+)", PAGE, re.MULTILINE)
    table = [({int(code) for code in codes.split(", ")}, what.strip()) for codes, what in rows]

    assert table == [({0}, "success"), (COMMITTED - {0}, "success"), (TRY_AGAIN, "retry"), (PERMANENT, "stop")]


COMMANDS = {
    "cron": re.search(rf"{BINARY} (.*?) 2>&1", CRON),
    "systemd": re.search(rf"^ExecStart={BINARY} (.*)$", SERVICE, re.MULTILINE),
    "GitHub": re.search(r"^ +ftetl (.*) \|\| code", WORKFLOW, re.MULTILINE),
    "Airflow": re.search(r'^COMMAND = \["[^"]+", (.*)\]$', DAG, re.MULTILINE),
    "Kubernetes": re.search(r"args: \[(.*)\]$", CRONJOB, re.MULTILINE),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_parsed(name: str) -> None:
    found = COMMANDS[name]
    assert found is not None
    command, *words = found[1].replace('"', "").replace(",", "").split()
    CLI_COMMANDS[command].make_context(command, words, parent=cli.make_context("ftetl", []))


class TestCron:
    def test_its_times_are_times(self) -> None:
        croniter = pytest.importorskip("croniter", reason="croniter is in the extra `test`").croniter
        schedules = [yaml.safe_load(CRONJOB)["spec"]["schedule"], yaml.safe_load(WORKFLOW)[True]["schedule"][0]["cron"]]
        for times in (" ".join(CRON.split()[:5]), *schedules):
            assert croniter.is_valid(times)

    def test_its_line_has_nothing_that_cron_takes_for_a_line_break(self) -> None:
        assert "\n" not in CRON
        assert "%" not in CRON

    @pytest.mark.parametrize("code", CODES)
    def test_it_is_silent_unless_somebody_must_look(self, fake: Path, code: int) -> None:
        command = CRON.split(maxsplit=5)[5].replace(BINARY, str(fake))
        done = ended(fake, ["/bin/sh", "-c", command], code)

        silent = code == 0 or code in TRY_AGAIN
        assert done.stdout == ("" if silent else f"ftetl: NAME ({code})\n")
        assert done.stderr == ""
        assert len(calls(fake)) == 1


class TestSystemd:
    def test_it_is_what_systemd_understands(self, tmp_path: Path) -> None:
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            pytest.skip("systemd-analyze is not here")
        (tmp_path / "ftetl.service").write_text(SERVICE.replace(BINARY, shutil.which("true") or "/bin/true"))
        (tmp_path / "ftetl.timer").write_text(TIMER)
        (tmp_path / "odd.service").write_text(
            SERVICE.replace(BINARY, "/nonexistent").replace("=on-failure", "=sometimes")
        )

        def verify(*names: str) -> str:
            given = [str(analyze), "verify", *(str(tmp_path / name) for name in names)]
            done = subprocess.run(given, capture_output=True, text=True, check=False)
            return "\n".join(line for line in done.stderr.splitlines() if str(tmp_path) in line or "ftetl" in line)

        if "sometimes" not in verify("odd.service"):
            pytest.skip("systemd-analyze finds no mistakes here")
        assert verify("ftetl.service", "ftetl.timer") == ""

    def test_it_tries_again_what_will_pass(self) -> None:
        service = parsed(SERVICE)["Service"]

        assert {int(code) for code in service["SuccessExitStatus"].split()} == COMMITTED - {0}
        assert {int(code) for code in service["RestartPreventExitStatus"].split()} == PERMANENT
        assert (service["Type"], service["Restart"]) == ("oneshot", "on-failure")

    def test_it_waits_longer_than_the_network_may_take(self) -> None:
        minutes = re.fullmatch(r"(\d+)min", parsed(SERVICE)["Service"]["TimeoutStartSec"])

        assert minutes
        assert int(minutes[1]) * 60 > limits.DEADLINE


class TestKubernetes:
    JOB: dict[str, Any] = yaml.safe_load(CRONJOB)["spec"]["jobTemplate"]["spec"]

    def test_it_is_what_kubernetes_understands(self) -> None:
        kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
        latest = kubernetes_validate.latest_version()
        kubernetes_validate.validate(yaml.safe_load(CRONJOB), latest, strict=True)
        odd = yaml.safe_load(CRONJOB.replace("backoffLimit", "backofLimit"))
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(odd, latest, strict=True)

    def test_it_tries_again_what_will_pass(self) -> None:
        fail, ignore = self.JOB["podFailurePolicy"]["rules"]
        (container,) = self.JOB["template"]["spec"]["containers"]

        # The codes must be in order, and not 0, or the API server refuses them.
        assert fail["onExitCodes"]["values"] == sorted(PERMANENT | COMMITTED - {0})
        assert fail["onExitCodes"]["containerName"] == container["name"]
        assert (fail["action"], ignore["action"]) == ("FailJob", "Ignore")
        assert self.JOB["template"]["spec"]["restartPolicy"] == "Never"

    def test_it_waits_longer_than_the_network_may_take(self) -> None:
        assert self.JOB["activeDeadlineSeconds"] > limits.DEADLINE * (1 + self.JOB["backoffLimit"])

    def test_its_volumes_are_those_that_are_mounted(self) -> None:
        spec = self.JOB["template"]["spec"]
        (container,) = spec["containers"]
        paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}

        assert {*paths} == {volume["name"] for volume in spec["volumes"]}
        assert container["args"][1].startswith(f"{paths['data']}/")
        assert container["args"][3].startswith(f"{paths['key']}/")


STAND_IN = """
def dag(**_):
    return lambda function: lambda: None
def task(function):
    return lambda: None
"""
DRIVE = """
import os, runpy, sys
recipe = runpy.run_path(sys.argv[1])
for os.environ["FAKE_EXIT"] in sys.argv[2:]:
    try:
        print("ended: fine:", recipe["export"]())
    except Exception as error:
        print("ended", type(error).__name__, error, sep=": ")
"""
BAG = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(bag.import_errors, [(name, [t.task_id for t in d.tasks], d.max_active_runs) for name, d in bag.dags.items()])
"""


needs_airflow = pytest.mark.skipif(not AIRFLOW, reason="FTETL_AIRFLOW names no Python with it")


class TestAirflow:
    @pytest.mark.parametrize("real", [False, pytest.param(True, marks=needs_airflow)], ids=["stand-in", "real"])
    def test_what_must_not_be_tried_again_fails_for_good(self, fake: Path, tmp_path: Path, real: bool) -> None:
        sdk = tmp_path / "stand-in" / "airflow" / "sdk"
        sdk.mkdir(parents=True)
        (sdk.parent / "__init__.py").touch()
        (sdk / "__init__.py").write_text(STAND_IN)
        (sdk / "exceptions.py").write_text("class AirflowFailException(Exception): pass\n")
        (tmp_path / "ftetl_export.py").write_text(DAG.replace(BINARY, str(fake)))
        codes = [*CODES, 137]
        given = [AIRFLOW if real else sys.executable, "-c", DRIVE, str(tmp_path / "ftetl_export.py"), *map(str, codes)]
        path = {} if real else {"PYTHONPATH": str(tmp_path / "stand-in")}
        done = ended(fake, given, 0, AIRFLOW_HOME=str(tmp_path / "home"), **path)

        kinds = dict.fromkeys(COMMITTED, "fine") | dict.fromkeys(PERMANENT, "AirflowFailException")
        assert [line for line in done.stdout.splitlines() if line.startswith("ended")] == [
            f"ended: {kinds.get(code, 'RuntimeError')}: ftetl: NAME ({code})" for code in codes
        ]

    @needs_airflow
    def test_airflow_finds_the_dag(self, tmp_path: Path) -> None:
        (tmp_path / "dags").mkdir()
        (tmp_path / "dags" / "ftetl_export.py").write_text(DAG)
        env = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path / "home")}
        given = [AIRFLOW, "-c", BAG, str(tmp_path / "dags")]
        done = subprocess.run(given, env=env, capture_output=True, text=True, check=True)

        assert done.stdout.splitlines()[-1] == "{} [('ftetl_export', ['export'], 1)]"


class TestGitHub:
    JOB: dict[str, Any] = yaml.safe_load(WORKFLOW)["jobs"]["export"]
    SCRIPT: str = next(step["run"] for step in JOB["steps"] if step.get("name") == "export")

    def test_it_is_what_github_understands(self, tmp_path: Path) -> None:
        pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
        given = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
        for text, code in ((WORKFLOW, 0), (WORKFLOW.replace("runs-on", "runs-at"), 1)):
            (tmp_path / "workflow.yaml").write_text(text)
            done = subprocess.run([*given, tmp_path / "workflow.yaml"], capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stdout + done.stderr

    @pytest.mark.parametrize("code", CODES)
    def test_its_script_tries_again_what_will_pass(self, fake: Path, code: int) -> None:
        (fake.parent / "sleep").write_text("#!/bin/sh\n")
        (fake.parent / "sleep").chmod(0o755)
        done = ended(fake, ["bash", "-e", "-c", self.SCRIPT], code)

        stopped = {e.code for e in (EXITS["SIGINT"], EXITS["SIGTERM"])}  # by GitHub, which would not wait
        assert len(calls(fake)) == (3 if code in TRY_AGAIN - stopped else 1)
        assert done.returncode == (0 if code in COMMITTED else code)
        assert ("::warning::" in done.stdout) == (code in COMMITTED - {0})

    def test_it_waits_longer_than_the_network_may_take(self) -> None:
        waits = [int(word) for word in re.findall(r"for wait in ([\d ]+);", self.SCRIPT)[0].split()]

        assert self.JOB["timeout-minutes"] * 60 > sum(waits) + len(waits) * limits.DEADLINE
