"""The checkpoints of the demo are those that the events of its jobs name."""

from __future__ import annotations

from ftetl import demo
from ftetl.demo.checkpoints import job_checkpoints

JOBS = demo.load_jobs()


def test_every_checkpoint_that_an_event_names_is_there() -> None:
    for job in JOBS:
        saved = [event["checkpoint_path"] for event in job["events"] if event["type"] == "CHECKPOINT_SAVE"]
        assert [c["path"] for c in job_checkpoints(job) if c["checkpoint_type"].startswith("Intermediate")] == saved


def test_completed_jobs_alone_have_a_final_one_at_their_last_step() -> None:
    for job in JOBS:
        final = [c for c in job_checkpoints(job) if c["checkpoint_type"].startswith("Final")]
        assert bool(final) == (job["status"] == "completed")
        assert all(c["step"] > 0 and c["path"].startswith("s3://") for c in final)


def test_new_checkpoints_name_their_objects_and_older_ones_do_not() -> None:
    named = {job["created_at"][:7] for job in JOBS for c in job_checkpoints(job) if "object_id" in c}

    assert named
    assert min(named) >= "2026-06"
    assert {c["checkpoint"] for job in JOBS for c in job_checkpoints(job)} == {"model", "adapter"}
