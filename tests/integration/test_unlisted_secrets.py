"""Secrets under names that no contract lists are in no file that a run leaves, on either reader."""

from __future__ import annotations

import json
import os
import random
import string
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.demo.jobs import load_jobs
from ftetl.errors import FtetlError
from ftetl.pipeline.export import rebuild
from ftetl.raw import secret_forms
from ftetl.raw.blob import Spooled
from ftetl.raw.secret_masking import may_need_masking
from tests.benchmarks import generate
from tests.integration.canary import files

CASE = Path(__file__).parents[1] / "data" / "unlisted_secrets.json"


def found(folder: Path, texts: list[str]) -> list[tuple[str, str]]:
    """Where the texts are in the files below a folder, CSV and the texts in Parquet included."""
    places = [(str(file), file.read_bytes()) for file in files(folder)]
    for file in [f for f in files(folder) if f.suffix == ".parquet" and "current" not in f.parts]:
        import pyarrow.parquet as pq

        places.append((f"{file} (read)", json.dumps(pq.read_table(file).to_pylist(), default=str).encode()))
    return [(place, text) for place, content in places for text in texts if text.encode() in content]


def exported(tmp_path: Path, body: bytes, name: str = "answer.json") -> ftetl.Report:
    (tmp_path / name).write_bytes(body)
    return ftetl.export(tmp_path / "target", source=tmp_path / name, formats=("csv",), csv_raw=True)


def test_none_of_the_case_is_anywhere_and_what_is_no_secret_is_kept(tmp_path: Path) -> None:
    report = exported(tmp_path, CASE.read_bytes())
    extra = [json.loads(text) for text in ftetl.open(tmp_path / "target").arrow("jobs")["extra"].to_pylist()]

    assert found(tmp_path / "target", ["example-not-a-key"]) == []
    assert extra == [
        {
            "wandb_api_key": "***",
            "webhook": {"authorization": "***", "url": "https://ann:***@hooks.example/x"},
            "prompt_token_count": 12,
            "tokenizer": "llama-bpe",
        },
        {"settings": '{"api_key":"***"}'},
    ]
    assert report.masked == {"wandb_api_key": 1, "authorization": 1, "password in a URL": 1, "api_key": 1}
    assert report.as_dict()["masked"] == report.masked
    assert not exported(tmp_path, CASE.read_bytes()).changed
    assert not rebuild(tmp_path / "target").changed


FORMS = [
    *("Bearer %s", "hf_%s", "sk-%s", "tgp_v1_%s", "ghp_%s", "github_pat_%s", "xoxb-%s", "AIza%s", "eyJ%s.eyJ%s.%s"),
    *("-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----", "https://ann:%s@host.example/", "AKIA%s"),
    *(
        "export WANDB_API_KEY=%s",
        "--api-key %s",
        "password=%s",
        "token: %s",
        "https://host.example/?a=1&api_key=%s&b=2",
    ),
    "/x?X-Amz-Signature=%s",
]
KEYS = ["api_key", "apiKey", "API-KEY", "client_secret", "password", "dbPasswd", "authorization", "cookie", "hf_token"]
KEYS += ["auth", "x_auth", "pass", "jwt", "dsn", "connection_string", "license_key", "otp", "aws_access_key_id"]


def planted(dice: random.Random, job: dict[str, Any], secret: str, form: str) -> None:
    """Put a secret at a random place of a job: any text of it, an unknown key, an event, JSON in a text."""
    value = form.replace("%s", secret)
    if form.startswith("AKIA"):
        value = "AKIA" + secret.upper()[:16]
    match dice.randrange(8):
        case 0:
            job[dice.choice(["suffix", "model_output_name", "wandb_name", "model"])] = f"a {value} b"
        case 1:
            job.setdefault("events", []).append({"type": "job_start", "message": f"({value})", "new": [value]})
        case 2:
            job["new"] = {"a": [{"b": json.dumps({"c": json.dumps([value])})}]}
        case 3:
            job["more"] = {dice.choice(KEYS): secret}
        case 4:
            job["text"] = json.dumps({"x": {dice.choice(KEYS): secret}, "y": 1})
        case 5:
            job["events"] = [{"type": "warning", "message": json.dumps({dice.choice(KEYS): secret})}]
        case 6:
            job["headers"] = [{"name": "x", "value": "y"}, {"name": dice.choice(KEYS), "value": secret}]
        case 7:
            job["env"] = ["A=b", f"{dice.choice(KEYS)}={secret}", "--api-key", secret]


@pytest.mark.parametrize("more", [{}, {"n_epochs": "three"}])  # each reader
def test_a_job_with_two_secrets_as_keys_is_not_quarantined(tmp_path: Path, more: dict[str, Any]) -> None:
    job = {"id": "ft-1", "status": "completed", "created_at": "2026-03-01T10:00:00Z", "model": "a/b", **more}
    body = json.dumps({"data": [job | {"keys": {"hf_" + "a" * 30: 1, "hf_" + "b" * 30: 2}}]}).encode()
    exported(tmp_path, body)
    table = ftetl.open(tmp_path / "target").arrow("jobs")

    assert [json.loads(text)["keys"] for text in table["extra"].to_pylist()] == [{"***": 1, "***2": 2}]


@pytest.mark.parametrize("shape", ["list", "lines", "broken", "wrong types", "quarantined"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_secret_at_a_random_place_is_in_no_file(tmp_path: Path, shape: str, seed: int) -> None:
    dice = random.Random(f"{shape} {seed}")
    jobs: list[dict[str, Any]] = []
    secrets = []
    for number in range(60):
        job: dict[str, Any] = {"id": f"ft-{number}", "status": "completed", "total_price": 4_000_000_000}
        job |= {"created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T11:00:00Z", "model": "a/b"}
        secret = "".join(dice.choices(string.ascii_letters + string.digits, k=19)) + "7" + "ab9" * 7
        form = dice.choice(FORMS)
        planted(dice, job, secret, form)
        secrets += [secret[:20], secret.upper()[:16]]
        if shape == "wrong types" and number % 9 == 0:
            job |= {"n_epochs": "three"}  # the Arrow reader refuses it, the Python reader takes it
        if shape == "quarantined":
            job["id"] = dice.choice([None, "", 5, "not an id!"])
        jobs.append(job)
    body = json.dumps({"data": jobs}).encode()
    if shape == "lines":
        body = b"\n".join(json.dumps(job).encode() for job in jobs)
    if shape == "broken":
        body = b'{"data":[' + b",".join(json.dumps(job).encode()[: -dice.randrange(3)] for job in jobs) + b"]}"
    (tmp_path / "answer.json").write_bytes(body)
    name = "answer.ndjson" if shape == "lines" else "answer.json"
    try:
        exported(tmp_path, body, name)
    except FtetlError:
        assert shape in ("broken", "quarantined")

    assert found(tmp_path / "target", secrets) == []


@pytest.mark.parametrize("jobs", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_nothing_of_many_generated_jobs_changes(tmp_path: Path, jobs: int) -> None:
    file = tmp_path / "jobs.json"
    generate.make(file, jobs=jobs, count=4, odd=1)

    assert list(secret_forms.find_secrets(file.read_bytes())) == []
    with file.open("rb") as opened:
        assert may_need_masking([Spooled(os.dup(opened.fileno()))]) == [False]


def test_nothing_of_the_demo_changes() -> None:
    assert list(secret_forms.find_secrets(json.dumps(load_jobs()).encode())) == []
