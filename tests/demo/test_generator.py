"""The generated jobs: repeatable, consistent, plausible, and with every variant of the API's format in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import pytest

from ftetl import demo
from tests.demo.generator import SEED, generate_jobs

Job = dict[str, Any]

OPENED_AT = demo.OBSERVED_AT - timedelta(days=731)
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,2}[1-9])?Z")
ZERO_TIME = "0001-01-01T00:00:00Z"
TERMINAL = {
    "completed": "JOB_COMPLETE",
    "cancelled": "JOB_STOPPED",
    "error": "JOB_ERROR",
    "user_error": "JOB_USER_ERROR",
}
OPEN = {"pending", "queued", "running", "compressing", "uploading", "cancel_requested"}
PUBLISHED_AND_KNOWN_TYPES = set(
    """
    JOB_PENDING JOB_START JOB_STOPPED MODEL_DOWNLOADING MODEL_DOWNLOAD_COMPLETE TRAINING_DATA_DOWNLOADING
    TRAINING_DATA_DOWNLOAD_COMPLETE VALIDATION_DATA_DOWNLOADING VALIDATION_DATA_DOWNLOAD_COMPLETE WANDB_INIT
    TRAINING_START CHECKPOINT_SAVE BILLING_LIMIT EPOCH_COMPLETE TRAINING_COMPLETE COMPRESSING_MODEL
    MODEL_COMPRESSION_COMPLETE MODEL_UPLOADING MODEL_UPLOAD_COMPLETE JOB_COMPLETE JOB_ERROR CANCEL_REQUESTED
    JOB_RESTARTED REFUND WARNING EVAL_COMPLETE MODEL_UPLOADING_TO_HF MODEL_UPLOAD_TO_HF_COMPLETE JOB_USER_ERROR
    EARLY_STOPPED TOKENIZED_DATASET_UPLOAD_COMPLETE
    """.split()  # noqa: SIM905 - thirty lines less
)

seeds = pytest.mark.parametrize("seed", [SEED, 1, 2])


jobs_of = lru_cache(generate_jobs)  # no test changes a job


@pytest.fixture
def jobs() -> list[Job]:
    return jobs_of(SEED)


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def event_types(job: Job) -> list[str]:
    return [event["type"] for event in job["events"]]


def is_legacy(job: Job) -> bool:
    return "Suffix" in job


# --- repeatable


def digest_elsewhere(**environ: str) -> str:
    program = (
        "import hashlib, json; from tests.demo.generator import generate_jobs;"
        "print(hashlib.sha256(json.dumps(generate_jobs()).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_every_process_generates_the_same_jobs_whatever_its_hash_seed_and_time_zone() -> None:
    assert digest_elsewhere(PYTHONHASHSEED="1", TZ="Asia/Kathmandu") == digest_elsewhere(PYTHONHASHSEED="2", TZ="UTC")


def test_another_seed_generates_other_jobs(jobs: list[Job]) -> None:
    assert {job["id"] for job in generate_jobs(seed=1)}.isdisjoint(job["id"] for job in jobs)


@pytest.mark.parametrize("count", [0, 1, 2, 9, 40, 361])
def test_there_are_as_many_jobs_as_asked_for(count: int) -> None:
    assert len(generate_jobs(count=count)) == count


# --- consistent


@seeds
def test_ids_are_unique(seed: int) -> None:
    ids = [job["id"] for job in jobs_of(seed)]

    assert len(set(ids)) == len(ids)


def test_ids_are_uuids_until_april_2025_and_short_ones_since(jobs: list[Job]) -> None:
    uuid, short = r"ft-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"ft-[0-9a-f]{8}-[0-9a-f]{4}"

    for job in jobs:
        assert re.fullmatch(uuid if job["created_at"] < "2025-04-10" else short, job["id"])


@seeds
def test_prices_are_whole_and_add_up(seed: int) -> None:
    for job in jobs_of(seed):
        if is_legacy(job):
            assert job["total_price"] is None or type(job["total_price"]) is int
            continue
        prices = [job[key] for key in ("train_price", "eval_price", "total_price", "refund_amount")]
        assert all(type(price) is int and price >= 0 for price in prices)
        assert job["train_price"] + job["eval_price"] == job["total_price"]
        assert job["refund_amount"] <= job["total_price"]


@seeds
def test_every_price_is_a_rate_times_tokens_or_the_minimum(seed: int) -> None:
    for job in jobs_of(seed):
        if job["total_price"]:
            rate, rest = divmod(job["total_price"], job["token_count"])
            by_token = rest == 0 and 0 < rate < 100_000
            assert by_token or (job["total_price"] == 4_000_000_000 and job["created_at"] >= "2026-07")


def token_rates(jobs: list[Job], *kind: str) -> set[int]:
    """Nano-USD a token of the jobs of one kind, (model, type, method), those at the minimum left out."""
    return {
        job["total_price"] // job["token_count"]
        for job in jobs
        if job["total_price"] not in {None, 0, 4_000_000_000}
        and kind == (job["model"], job["training_type"]["type"], job.get("training_method", {}).get("method"))
    }


def test_larger_models_full_training_and_preferences_cost_more(jobs: list[Job]) -> None:
    small, large = "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference", "meta-llama/Llama-3.3-70B-Instruct-Reference"
    [plain], [full], [dpo], [big] = (
        token_rates(jobs, small, "Lora", "sft"),
        token_rates(jobs, "meta-llama/Llama-3.2-1B-Instruct", "Full", "sft"),
        token_rates(jobs, small, "Lora", "dpo"),
        token_rates(jobs, large, "Lora", "sft"),
    )

    assert plain == 480
    assert plain < full < dpo < big


@seeds
def test_times_have_the_format_of_the_api_and_are_within_the_two_years(seed: int) -> None:
    for job in jobs_of(seed):
        texts = [job["created_at"], job["updated_at"], *(event["created_at"] for event in job["events"])]
        texts += [text for key in ("started_at", "tokenized_dataset_uploaded_at") if (text := job.get(key))]
        for text in texts:
            assert text == ZERO_TIME or (TIME.fullmatch(text) and OPENED_AT <= parse_time(text) <= demo.OBSERVED_AT)


@seeds
def test_what_happens_to_a_job_happens_in_order(seed: int) -> None:
    for job in jobs_of(seed):
        moments = [parse_time(event["created_at"]) for event in job["events"]]
        assert moments == sorted(moments)
        assert parse_time(job["created_at"]) <= moments[0]
        assert moments[-1] <= parse_time(job["updated_at"])


@seeds
def test_events_and_status_agree(seed: int) -> None:
    for job in jobs_of(seed):
        ends = [kind for kind in event_types(job) if kind in TERMINAL.values()]
        assert ends == ([TERMINAL[job["status"]]] if job["status"] in TERMINAL else [])
        assert (event_types(job)[0], job["events"][0]["level"]) == ("JOB_PENDING", "")
        assert ("JOB_START" in event_types(job)) is (job["status"] not in {"pending", "queued"}) or job[
            "status"
        ] in TERMINAL


def test_tokens_and_price_are_unknown_until_the_data_is_there(jobs: list[Job]) -> None:
    for job in jobs:
        if "TRAINING_DATA_DOWNLOAD_COMPLETE" not in event_types(job):
            assert (job["token_count"], job["total_price"] or 0) == (0, 0)
        if "TRAINING_START" in event_types(job):
            assert job["token_count"] > 0


@seeds
def test_failed_jobs_are_refunded_in_full_and_stopped_ones_for_the_steps_not_run(seed: int) -> None:
    for job in jobs_of(seed):
        if "REFUND" not in event_types(job):
            assert job.get("refund_amount", 0) == 0
        elif not is_legacy(job):
            share = job["refund_amount"] / job["total_price"]
            failed = job["status"] in {"error", "user_error"}
            assert share == 1 if failed else share == pytest.approx(1 - job["steps_completed"] / job["total_steps"])


def test_a_restarted_job_has_a_successor_with_its_suffix_and_file(jobs: list[Job]) -> None:
    restarted = [job for job in jobs if "JOB_RESTARTED" in event_types(job)]

    assert restarted
    for job in restarted:
        moment = parse_time(next(event["created_at"] for event in job["events"] if event["type"] == "JOB_RESTARTED"))
        assert [
            other["status"]
            for other in jobs
            if other["training_file"] == job["training_file"]
            and other.get("suffix", other.get("Suffix")) == job.get("suffix", job.get("Suffix"))
            and moment <= parse_time(other["created_at"]) <= moment + timedelta(seconds=5)
        ] == ["completed"]


def test_checkpoints_that_are_continued_are_those_of_older_jobs(jobs: list[Job]) -> None:
    names: dict[str, str] = {}
    continued = 0
    for job in jobs:
        if origin := job.get("from_checkpoint"):
            continued += 1
            assert names[origin.partition(":")[0]] < job["created_at"]
        names[job["id"]] = names[job["model_output_name"]] = job["created_at"]

    assert continued > 3


def test_jobs_are_ascii_with_their_keys_in_order(jobs: list[Job]) -> None:
    for job in jobs:
        assert json.dumps(job, ensure_ascii=False, allow_nan=False).isascii()
        assert json.dumps(job, sort_keys=True) == json.dumps(job)


# --- plausible


def test_statuses_have_plausible_shares(jobs: list[Job]) -> None:
    count = Counter(job["status"] for job in jobs)
    failed = (count["error"] + count["user_error"]) / len(jobs)

    assert set(count) == OPEN | set(TERMINAL)
    assert 0.06 < failed < 0.10
    assert 0.03 < count["cancelled"] / len(jobs) < 0.05


def test_spend_is_skewed_but_no_model_and_no_user_is_everything(jobs: list[Job]) -> None:
    total = sum(job["total_price"] or 0 for job in jobs)

    for key in ("model", "user_id"):
        spend: Counter[str] = Counter()
        for job in jobs:
            spend[job[key]] += job["total_price"] or 0
        assert len(spend) >= 10
        assert 0.2 < spend.most_common(1)[0][1] / total < 0.6


def test_prices_go_from_hundredths_of_a_cent_to_thousands_of_dollars(jobs: list[Job]) -> None:
    prices = {job["total_price"] for job in jobs}

    assert 314_400 in prices
    assert max(price for price in prices if price) > 2_000 * 10**9


def test_jobs_increase_and_are_few_at_weekends_and_around_new_year(jobs: list[Job]) -> None:
    created = [parse_time(job["created_at"]) for job in jobs]
    first_year = sum(moment < datetime(2025, 11, 20, tzinfo=UTC) for moment in created)
    weekend = sum(moment.weekday() >= 5 for moment in created)
    new_year = sum((moment.month, moment.day) in {(12, d) for d in range(24, 32)} for moment in created)

    assert first_year < 0.45 * len(jobs)
    assert 0 < weekend < 0.1 * len(jobs)
    assert new_year < 0.02 * len(jobs)


def test_a_finished_job_has_about_twenty_events(jobs: list[Job]) -> None:
    counts = [len(job["events"]) for job in jobs if job["status"] == "completed"]

    assert 17 < sum(counts) / len(counts) < 24
    assert min(counts) >= 13


def test_large_jobs_take_longer(jobs: list[Job]) -> None:
    def minutes(job: Job) -> float:
        return (parse_time(job["updated_at"]) - parse_time(job["created_at"])).total_seconds() / 60

    done = sorted((job for job in jobs if job["status"] == "completed"), key=lambda job: job["token_count"])
    few, many = done[: len(done) // 4], done[-len(done) // 4 :]

    assert sum(map(minutes, many)) > 3 * sum(map(minutes, few))


# --- variants of the API's format

VARIANTS: dict[str, Callable[[Job], bool]] = {
    "fraction of three digits": lambda j: bool(re.search(r"\.\d{3}Z", j["created_at"])),
    "fraction trimmed": lambda j: bool(re.search(r"\.\d{1,2}Z", j["created_at"])),
    "no fraction": lambda j: "." not in j["created_at"],
    "zero time": lambda j: ZERO_TIME in (j.get("started_at"), j.get("tokenized_dataset_uploaded_at")),
    "started_at null": lambda j: "started_at" in j and j["started_at"] is None,
    "levels": lambda j: {"Info", "Warning"} <= {event["level"] for event in j["events"]},
    "level Error": lambda j: "Error" in {event["level"] for event in j["events"]},
    "legacy levels": lambda j: "legacy_info" in {event["level"] for event in j["events"]},
    "thirteen keys in a legacy event": lambda j: len(j["events"][0]) == 14,
    "five keys in an event": lambda j: len(j["events"][0]) == 5,
    "compressing": lambda j: "COMPRESSING_MODEL" in event_types(j),
    "adapter only": lambda j: any("adapter_path" in event for event in j["events"]),
    "to the hub": lambda j: "MODEL_UPLOAD_TO_HF_COMPLETE" in event_types(j),
    "scheduler without arguments": lambda j: j["lr_scheduler"]["lr_scheduler_args"] == {},
    "scheduler with null": lambda j: j["lr_scheduler"] == {"lr_scheduler_args": None, "lr_scheduler_type": "linear"},
    "cosine": lambda j: j["lr_scheduler"]["lr_scheduler_type"] == "cosine",
    "legacy scheduler": lambda j: j["lr_scheduler"] == {"lr_scheduler_args": None, "lr_scheduler_type": ""},
    "legacy training type": lambda j: j["training_type"] == {"type": ""},
    "Suffix": lambda j: bool(j.get("Suffix")),
    "old names of the file's keys": lambda j: "TrainingFileNumLines" in j,
    "price null": lambda j: j["total_price"] is None,
    "free": lambda j: j["total_price"] == 0 and j["status"] == "completed",
    "minimum": lambda j: j["total_price"] == 4_000_000_000,
    "below the minimum by exemption": lambda j: 0 < (j["total_price"] or 0) < 4 * 10**9 and j["created_at"] > "2026-07",
    "max": lambda j: j["batch_size"] == "max",
    "train_on_inputs auto": lambda j: j.get("training_method", {}).get("train_on_inputs") == "auto",
    "train_on_inputs true": lambda j: j.get("training_method", {}).get("train_on_inputs") is True,
    "train_on_inputs false": lambda j: j.get("training_method", {}).get("train_on_inputs") is False,
    "train_on_inputs on top": lambda j: j.get("train_on_inputs") is False,
    "dpo with nulls": lambda j: None in j.get("training_method", {}).values() and "dpo_beta" in j["training_method"],
    "dropout left out": lambda j: j["training_type"].get("type") == "Lora" and "lora_dropout" not in j["training_type"],
    "dropout": lambda j: "lora_dropout" in j["training_type"],
    "some modules": lambda j: "," in j["training_type"].get("lora_trainable_modules", ""),
    "full": lambda j: j["training_type"] == {"type": "Full"},
    "integers for reals": lambda j: j["max_grad_norm"] == 1 and type(j["max_grad_norm"]) is int,
    "seed null": lambda j: "random_seed" in j and j["random_seed"] is None,
    "validation_file empty": lambda j: j.get("validation_file") == "",
    "validation_file left out": lambda j: not is_legacy(j) and "validation_file" not in j,
    "suffix empty": lambda j: j.get("suffix") == "",
    "address": lambda j: j.get("owner_address", "").endswith("@example.com"),
    "wandb": lambda j: bool(j.get("wandb_project_name")) and "WANDB_INIT" in event_types(j),
    "wandb_entity": lambda j: "wandb_entity" in j,
    "from_checkpoint empty": lambda j: j.get("from_checkpoint") == "",
    "from_checkpoint with a step": lambda j: ":" in j.get("from_checkpoint", ""),
    "from_hf_model": lambda j: "from_hf_model" in j,
    "progress estimated": lambda j: j.get("progress", {}).get("estimate_available") is True,
    "progress unknown": lambda j: j.get("progress") == {"estimate_available": False, "seconds_remaining": 0},
    "queue_depth": lambda j: "queue_depth" in j,
    "multimodal": lambda j: "train_vision" in j.get("multimodal_params", {}),
    "object names": lambda j: "model_object_id" in j,
    "job_id": lambda j: j.get("job_id") == j["id"],
    "checkpoints null": lambda j: "checkpoints" in j and j["checkpoints"] is None,
    "training_files": lambda j: bool(j.get("training_files")),
    "evaluated": lambda j: j.get("eval_price", 0) > 0 and "EVAL_COMPLETE" in event_types(j),
    "stopped early": lambda j: j.get("early_stopped") is True and j["refund_amount"] > 0,
    "cancelled with refund": lambda j: j["status"] == "cancelled" and 0 < j.get("refund_amount", 0) < j["total_price"],
    "billing limit": lambda j: "BILLING_LIMIT" in event_types(j),
    "failed before there was a price": lambda j: j["status"] == "user_error" and j["total_price"] == 0,
    "failed with a full refund": lambda j: j["status"] == "error" and j.get("refund_amount") == j["total_price"] != 0,
    "refund on another day": lambda j: (
        "REFUND" in event_types(j) and j["events"][-1]["created_at"][:10] > j["events"][-2]["created_at"][:10]
    ),
    "message with quotation marks": lambda j: any('"' in event["message"] for event in j["events"]),
    "message like a formula": lambda j: any(event["message"].startswith("=") for event in j["events"]),
    "unknown key": lambda j: "speculator_enabled" in j,
    "unknown key below": lambda j: "lora_use_rslora" in j["training_type"],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variant_is_in_some_job_but_not_in_all(jobs: list[Job], variant: str) -> None:
    job_ids = [job["id"] for job in jobs if VARIANTS[variant](job)]

    assert len(job_ids) > 0
    assert len(job_ids) < len(jobs)


ANOMALIES: dict[str, Callable[[Job], bool]] = {
    "text for an integer": lambda j: isinstance(j.get("max_seq_length"), str),
    "unknown event type": lambda j: not PUBLISHED_AND_KNOWN_TYPES.issuperset(event_types(j)),
    "unknown scheduler": lambda j: j["lr_scheduler"]["lr_scheduler_type"] not in {"", "linear", "cosine"},
}


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_the_anomaly_is_in_exactly_one_job(jobs: list[Job], anomaly: str) -> None:
    assert sum(ANOMALIES[anomaly](job) for job in jobs) == 1
