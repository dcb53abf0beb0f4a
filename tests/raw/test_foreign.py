"""Responses of another kind are recognised by their shape; Together's own jobs, in any form, never are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ftetl import demo
from ftetl.errors import DataError
from ftetl.raw import foreign, index
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from tests.demo.generator import generate_jobs

DATA = Path(__file__).parents[1] / "data"
UNIX = 1_780_000_000

# One element of each, with the keys that the vendor's public reference shows.
ELEMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "OpenAI": (
        {
            "object": "fine_tuning.job",
            "id": "ftjob-1",
            "model": "gpt-4.1-mini",
            "created_at": UNIX,
            "status": "succeeded",
        },
        "OpenAI's fine-tuning jobs",
    ),
    "OpenAI before 2024": (
        {
            "object": "fine-tune",
            "id": "ft-1",
            "created_at": UNIX,
            "fine_tuned_model": None,
            "hyperparams": {},
            "status": "x",
        },
        "OpenAI's fine-tuning jobs",
    ),
    "Azure OpenAI": ({"id": "ftjob-1", "status": "running", "created_at": UNIX, "model": "gpt"}, "OpenAI's"),
    "an event of OpenAI": ({"object": "fine_tuning.job.event", "id": "e", "created_at": UNIX}, "OpenAI's events"),
    "Mistral": (
        {"id": "5", "auto_start": True, "model": "m", "status": "SUCCESS", "job_type": "completion", "object": "job"},
        "Mistral's",
    ),
    "Fireworks": ({"name": "a", "displayName": "d", "baseModel": "m", "state": "X", "createTime": "t"}, "Fireworks'"),
    "Cohere": ({"id": "c", "name": "n", "creator_id": "u", "organization_id": "o", "settings": {}}, "Cohere's"),
    "Replicate": ({"id": "r", "version": "v", "input": {}, "urls": {}, "status": "succeeded"}, "Replicate's"),
    "AWS Bedrock": ({"jobArn": "arn", "status": "Completed", "baseModelArn": "arn"}, "AWS"),
    "Google": ({"name": "n", "baseModel": "m", "createTime": "t", "tunedModel": {}}, "Google's"),
    "a vendor without a name": (
        {"id": "x", "status": "SUCCEEDED", "created_at": UNIX, "model": "m"},
        "another vendor's",
    ),
    "an event": ({"object": "fine-tune-event", "type": "JOB_START", "message": "m", "created_at": "t"}, "events"),
    "an event without its kind": ({"type": "JOB_START", "message": "m", "level": "info", "created_at": "t"}, "events"),
    "a checkpoint": ({"step": 1, "created_at": "t", "path": "p", "checkpoint_type": "c"}, "checkpoints"),
    "a file": ({"id": "file-1", "object": "file", "bytes": 1, "filename": "f", "created_at": UNIX}, "GET /files"),
    "a model": ({"id": "a/b", "object": "model", "created": UNIX, "type": "chat"}, "GET /models"),
    "a model without its kind": ({"id": "a/b", "context_length": 1, "pricing": {}}, "GET /models"),
    "a batch": (
        {"id": "b", "endpoint": "/v1/chat/completions", "input_file_id": "file-1", "status": "COMPLETED"},
        "GET /batches",
    ),
    "an endpoint": ({"id": "e", "object": "endpoint", "name": "n", "owner": "o", "state": "STARTED"}, "GET /endpoints"),
    "an evaluation": ({"workflow_id": "w", "type": "score", "status": "completed"}, "evaluations"),
    "Hugging Face": ({"id": "a/b", "modelId": "a/b", "tags": [], "pipeline_tag": "text-generation"}, "Hugging Face's"),
    "GitHub": ({"id": 5, "node_id": "I_1", "html_url": "u", "url": "u", "number": 1, "title": "t"}, "GitHub's"),
    "a completion": ({"id": "c", "object": "chat.completion", "choices": [], "usage": {}}, "a completion"),
}
FORMS = {
    "an envelope": lambda e: json.dumps({"object": "list", "data": [e, e | {"id": f"{e.get('id', 'x')}-2"}]}),
    "an array": lambda e: json.dumps([e]),
    "lines": lambda e: json.dumps(e) + "\n" + json.dumps(e),
    "alone": lambda e: json.dumps(e | {"id": e.get("id", "x")}),
}


def scan(body: str | bytes, shape: Shape = Shape.DOCUMENT) -> index.Scan:
    data = body.encode() if isinstance(body, str) else body
    return index.scan_response(Response("it", Memory(data), datetime(2026, 7, 1, tzinfo=UTC), shape))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ELEMENTS)
def test_another_kind_of_response_is_named(name: str, form: str) -> None:
    element, label = ELEMENTS[name]

    with pytest.raises(DataError) as caught:
        scan(FORMS[form](element), Shape.LINES if form == "lines" else Shape.DOCUMENT)

    assert (caught.value.code, caught.value.exit.code) == ("FTETL-R53", 65)
    assert label in caught.value.what
    assert "GET /fine-tunes" in caught.value.next


@pytest.mark.parametrize(
    ("key", "label"),
    [("supervisedFineTuningJobs", "Fireworks'"), ("finetuned_models", "Cohere's"), ("tuningJobs", "Google's")],
)
def test_a_list_under_another_vendors_key_is_named(key: str, label: str) -> None:
    with pytest.raises(DataError, match=f"looks like {label}") as caught:
        scan(json.dumps({key: [{"name": "x"}], "nextPageToken": ""}))
    assert caught.value.code == "FTETL-R53"


def test_the_case_of_another_vendor() -> None:
    with pytest.raises(DataError, match="OpenAI's fine-tuning jobs"):
        scan((DATA / "responses" / "C_other_vendor.json").read_bytes())


@pytest.mark.parametrize("path", sorted((DATA / "samples").glob("*.json")), ids=lambda path: path.name)
def test_no_sample_of_together_is_taken_for_another_kind(path: Path) -> None:
    assert scan(path.read_bytes()).ids


def test_no_job_of_the_demo_and_none_of_many_is_taken_for_another_kind() -> None:
    with demo.serve() as server:
        jobs = list(server.jobs)
    labels = {foreign.label_of(job) for job in [*jobs, *generate_jobs(count=2_000)]}
    assert labels == {None}


@pytest.mark.slow
def test_none_of_100_000_jobs_is_taken_for_another_kind() -> None:
    assert {foreign.label_of(job) for job in generate_jobs(count=100_000)} == {None}


ODD_JOBS: list[dict[str, Any]] = [
    {"id": "a"},
    {"id": "a", "status": "completed"},
    {"id": "a", "status": "completed", "created_at": UNIX},  # drift of a time, not another vendor
    {"id": "ft-1", "object": "fine-tune", "status": "completed", "model": "m", "created_at": "2023-07-01T00:00:00Z"},
    {"id": "ft-1", "object": "fine_tuning.job", "total_price": 1, "training_type": {}, "created_at": UNIX},
    {"id": "ft-1", "status": "failed", "training_method": {}, "n_evals": 0, "created_at": UNIX},
]


@pytest.mark.parametrize("job", ODD_JOBS)
def test_an_odd_job_is_still_a_job(job: dict[str, Any]) -> None:
    assert scan(json.dumps({"data": [job]})).ids == [job["id"]]


TOGETHER = {"id": "ft-1", "status": "running", "object": "fine-tune"}
MIXED = {
    "an envelope": (lambda jobs: json.dumps({"data": jobs}), Shape.DOCUMENT),
    "a pretty array": (lambda jobs: json.dumps(jobs, indent=1), Shape.DOCUMENT),
    "lines": (lambda jobs: "\n".join(map(json.dumps, jobs)), Shape.LINES),
    "among irregular elements": (lambda jobs: json.dumps([*jobs, 5, {"id": 7}]), Shape.DOCUMENT),
}


@pytest.mark.parametrize("form", MIXED)
@pytest.mark.parametrize("name", ["OpenAI", "Mistral", "a model", "an endpoint", "a completion"])
def test_elements_of_another_kind_behind_jobs_refuse_the_response(name: str, form: str) -> None:
    element, label = ELEMENTS[name]
    write, shape = MIXED[form]
    jobs = [TOGETHER | {"id": f"ft-{n}"} for n in range(20)] + [element | {"id": f"x-{n}"} for n in range(3)]

    with pytest.raises(DataError) as caught:
        scan(write(jobs), shape)

    assert (caught.value.code, caught.value.exit.code) == ("FTETL-R53", 65)
    count = 25 if "irregular" in form else 23
    assert caught.value.what.startswith(f"3 of the {count} elements of it look like ")
    assert label in caught.value.what


def test_elements_of_two_other_kinds_are_refused() -> None:
    with pytest.raises(DataError, match="3 of the 3 elements of it look like OpenAI's fine-tuning jobs") as caught:
        scan(json.dumps([ELEMENTS["OpenAI"][0], ELEMENTS["a model"][0], ELEMENTS["a model"][0]]))
    assert caught.value.code == "FTETL-R53"


def test_the_objects_inside_a_job_say_nothing_of_it() -> None:
    job = TOGETHER | {"events": [{"object": "fine-tune-event"}], "hardware": {"object": "hardware"}}
    assert scan(json.dumps([job, 5])).ids == ["ft-1"]


def test_a_detail_of_another_kind_is_not_taken_for_the_requested_job() -> None:
    body = json.dumps({"object": "fine_tuning.job", "id": "ft-1", "status": "succeeded", "created_at": UNIX})
    response = Response("it", Memory(body.encode()), datetime(2026, 7, 1, tzinfo=UTC))
    assert index.scan_single_job(response, "ft-1") is None
