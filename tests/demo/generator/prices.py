"""The price of a job: a rate by model size, training type and method, times its tokens, in whole nano-US-dollars.

A price per million tokens with at most three decimals is a whole number of nano-US-dollars
a token, so every sum here is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

NANO = 1_000_000_000
MINIMUM = 4 * NANO
MINIMUM_SINCE = datetime(2026, 7, 1, tzinfo=UTC)

# (largest model in billions of parameters, thousandths of a US dollar per million tokens by (full, dpo)).
_RATES: tuple[tuple[float, dict[tuple[bool, bool], int]], ...] = (
    (16.0, {(False, False): 480, (True, False): 540, (False, True): 1200, (True, True): 1350}),
    (69.0, {(False, False): 1500, (True, False): 1650, (False, True): 3750, (True, True): 4125}),
    (100.0, {(False, False): 2900, (True, False): 3200, (False, True): 7250, (True, True): 8000}),
    (float("inf"), {(False, False): 5000, (True, False): 5600, (False, True): 12500, (True, True): 14000}),
)


@dataclass(frozen=True)
class Charge:
    """A price in nano-US-dollars; `train` and `evaluation` sum to `total`."""

    total: int
    train: int
    evaluation: int


def rate_per_token(billions: float, *, full: bool, dpo: bool) -> int:
    """The rate in nano-US-dollars."""
    return next(rates for limit, rates in _RATES if billions <= limit)[full, dpo]


def charge_for(tokens: int, eval_tokens: int, per_token: int, *, created: datetime, exempt: bool) -> Charge:
    """The price of `tokens` tokens, of which `eval_tokens` are for evaluations; at least the minimum price."""
    evaluation = eval_tokens * per_token
    total = tokens * per_token
    if created >= MINIMUM_SINCE and not exempt:
        total = max(total, MINIMUM)
    return Charge(total, total - evaluation, evaluation)
