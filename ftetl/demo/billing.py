"""The bill of the demo's organisation: windows of line items for `GET /billing/usage`.

Its fine-tuning lines are the prices of the jobs, at the hour in which each was created, and their refunds. They agree
with `focus_costs` in every month but two: one refund was paid outside the bill, and the last day is not billed yet.
The other lines are of inference and of a dedicated endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from ftetl.demo.jobs import OBSERVED_AT

Job = dict[str, Any]

GRANULARITIES = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
PROMOTION_UNTIL = datetime(2025, 1, 1, tzinfo=UTC)  # a starting credit covers all usage before
PREPAID_SINCE = datetime(2026, 1, 1, tzinfo=UTC)  # from then on each month begins with prepaid usage
PREPAID_DAYS = 10
RENAMED = datetime(2025, 11, 1, tzinfo=UTC)  # names of products are for display, and change
DEDICATED_SINCE = datetime(2026, 3, 1, tzinfo=UTC)
_API_KEY = (("api_key_id", "key-demo-0001"), ("project_id", "proj-demo-0001"))
_OTHER_KEY = (("api_key_id", "key-demo-0002"), ("project_id", "proj-demo-0002"))


class Line(NamedTuple):
    """What was used at one price, but for the quantity."""

    product: str
    unit_price: int  # nano-USD
    dimensions: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str], ...]
    credit: str | None


def billing_windows(jobs: Sequence[Job], granularity: str) -> list[dict[str, Any]]:
    """All windows of a `day` or an `hour` with usage that have ended by `OBSERVED_AT`, the oldest first."""
    length = GRANULARITIES[granularity]
    windows: dict[datetime, dict[Line, int]] = {}
    for moment, line, quantity in _usage(jobs):
        start = moment.replace(hour=0 if granularity == "day" else moment.hour, minute=0, second=0, microsecond=0)
        if start + length <= OBSERVED_AT:
            lines = windows.setdefault(start, {})
            lines[line] = lines.get(line, 0) + quantity
    return [
        {
            "date": f"{start:%Y-%m-%d}",
            "start_time": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "end_time": f"{start + length:%Y-%m-%dT%H:%M:%SZ}",
            "line_items": [_line_item(line, quantity) for line, quantity in sorted(lines.items(), key=repr)],
        }
        for start, lines in sorted(windows.items())
    ]


def unbilled_refund(jobs: Sequence[Job]) -> Job | None:
    """The job whose refund is not on the bill: of the failed ones, that with the largest."""
    failed = [job for job in jobs if job["status"] == "error" and job.get("refund_amount")]
    return max(failed, key=lambda job: job["refund_amount"], default=None)


def _line_item(line: Line, quantity: int) -> dict[str, Any]:
    item = {
        "product_name": line.product,
        "quantity": str(quantity),
        "unit_price": _dollars(line.unit_price),
        "cost": _dollars(quantity * line.unit_price),
        "pricing_dimensions": dict(line.dimensions),
        "attributes": dict(line.attributes),
    }
    return item if line.credit is None else item | {"applied_credit": {"type": line.credit}}


def _dollars(nano: int) -> str:
    whole, _, fraction = f"{Decimal(nano).scaleb(-9):.9f}".partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _credit(moment: datetime) -> str | None:
    if moment < PROMOTION_UNTIL:
        return "CREDIT"
    return "PREPAID" if moment >= PREPAID_SINCE and moment.day <= PREPAID_DAYS else None


def _usage(jobs: Sequence[Job]) -> Iterator[tuple[datetime, Line, int]]:
    unbilled = unbilled_refund(jobs)
    for job in jobs:
        if job["total_price"]:
            yield _charge(job)
        if job.get("refund_amount") and job is not unbilled:
            refunds = [event["created_at"] for event in job["events"] if event["type"] == "REFUND"]
            moment = datetime.fromisoformat(max(refunds))
            yield moment, Line("Fine-tuning Refund", job["refund_amount"], (), (), None), -1
    if jobs:
        first = datetime.fromisoformat(min(job["created_at"] for job in jobs))
        yield from _inference(first.replace(hour=0, minute=0, second=0, microsecond=0))


def _charge(job: Job) -> tuple[datetime, Line, int]:
    """The line of a job: its tokens at their price, or the minimum charge, which is not a price of tokens."""
    moment, price, tokens = datetime.fromisoformat(job["created_at"]), job["total_price"], job["token_count"]
    method = (job.get("training_method") or {}).get("method") or "sft"
    training_type = (job.get("training_type") or {}).get("type") or "Full"
    dimensions = (("method", method), ("model", job["model"]), ("training_type", training_type.lower()))
    if tokens and price % tokens == 0:
        product = "Fine Tuning Tokens" if moment < RENAMED else "Fine-tuning - Training Tokens"
        return moment, Line(product, price // tokens, dimensions, (), _credit(moment)), tokens
    return moment, Line("Fine-tuning - Minimum Charge", price, dimensions, (), _credit(moment)), 1


def _inference(first_day: datetime) -> Iterator[tuple[datetime, Line, int]]:
    """Invented use of inference, more and more, and of an endpoint that is billed by the minute on some days."""
    model = (("model", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),)
    for number in range((OBSERVED_AT - first_day).days + 1):
        day = first_day + timedelta(days=number)
        rng = Random(f"inference/{day:%Y-%m-%d}")  # noqa: S311 - invented data, the same in every process
        for hour in (9, 15):
            moment = day + timedelta(hours=hour)
            tokens = int((1 + number / 90) * (50_000 + 400_000 * rng.random()) * (0.2 if day.weekday() > 4 else 1))
            owner = _API_KEY if rng.random() < 0.7 else _OTHER_KEY
            for kind, quantity in (("Input", tokens), ("Output", tokens // 4)):
                line = Line(f"Serverless Inference - {kind} Tokens", 880, model, owner, _credit(moment))
                yield moment, line, quantity
            if day >= DEDICATED_SINCE and day.day % 4 == 0:
                hardware = (("hardware", "1x_nvidia_h100_80gb_sxm"),)
                yield moment, Line("Dedicated Endpoint - Minutes", 66_500_000, hardware, (), _credit(moment)), 60
