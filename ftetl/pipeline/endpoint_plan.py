"""Which other endpoints a run asks, and what it asks them for."""

from __future__ import annotations

from typing import Final

from ftetl import formatting
from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.extract.endpoints import Endpoint, EndpointAnswers, EndpointRequest
from ftetl.extract.extract import Extraction
from ftetl.extract.listed_jobs import listed_jobs
from ftetl.extract.outcome import Outcome
from ftetl.pipeline.bills import bill_requests, bill_warnings
from ftetl.pipeline.final_answers import FinalAnswers, is_final
from ftetl.snapshot.table_reader import TableReader

_NOT_STARTED: Final = frozenset(["pending", "queued"])  # the statuses of jobs that cannot have metrics yet


def plan(
    settings: Settings,
    extraction: Extraction,
    stored: TableReader,
    final: FinalAnswers,
) -> list[EndpointRequest]:
    """The requests of a run whose source is a service.

    Args:
        settings: Which endpoints are wanted.
        extraction: The jobs that were received.
        stored: The tables of the last snapshot.
        final: What need not be asked for again.
    """
    requests = []
    if settings.files == "auto":
        requests.append(EndpointRequest(Endpoint.FILES))
    if settings.billing == "auto":
        requests += [r for r in bill_requests(extraction, stored) if not is_final(final, r)]
    if settings.metrics == "auto":
        requests += [r for r in _metrics_of_jobs(extraction) if not is_final(final, r)]
    return requests


def _metrics_of_jobs(extraction: Extraction) -> list[EndpointRequest]:
    """The metrics of each listed job that has been started, for good of one that has ended."""
    ends = tables()["jobs"]["is_terminal"].values
    status = {job.job_id: job.status for job in listed_jobs(extraction)}
    return [  # of two copies of a job the last one counts: a detail
        EndpointRequest(Endpoint.TRAINING_METRICS, job_id, final=found in ends)
        for job_id, found in status.items()
        if found not in _NOT_STARTED
    ]


def warnings(settings: Settings, answers: EndpointAnswers, final: FinalAnswers) -> list[str]:
    """A line if the service shows no bill, and one if it seems to have no training metrics at all.

    Args:
        settings: Which endpoints are wanted.
        answers: Those of this run.
        final: The final answers of the last snapshot.
    """
    outcomes = [a.outcome for a in answers.answers if a.request.endpoint is Endpoint.TRAINING_METRICS]
    is_known = any(endpoint == Endpoint.TRAINING_METRICS for endpoint, _ in final)
    about_bills = bill_warnings(answers, is_wanted=settings.billing == "auto")
    if is_known or not outcomes or {*outcomes} != {Outcome.GONE}:
        return about_bills
    jobs = formatting.pluralize(len(outcomes), "job")
    return [
        *about_bills,
        f"the service has no training metrics (404) of any of {jobs}; without --metrics nothing is asked",
    ]


def warnings_without_service(settings: Settings) -> list[str]:
    """Lines if a run of saved responses is to ask for what these do not have."""
    wanted = (
        ("bill", "--billing", settings.billing, "it"),
        ("training metrics", "--metrics", settings.metrics, "them"),
    )
    return [
        f"saved responses have no {what}; {option} auto asks the API for {pronoun}"
        for what, option, value, pronoun in wanted
        if value == "auto"
    ]
