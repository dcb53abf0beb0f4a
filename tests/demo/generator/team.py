"""The invented team: its people, their projects, and the times at which they start jobs.

Names, addresses and numbers are made up; addresses end in example.com.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from ftetl.demo import OBSERVED_AT
from tests.demo.generator.models import MODELS, Model, available_models

OPENED_AT = datetime(2024, 11, 20, tzinfo=UTC)

_DAYS = (OBSERVED_AT - OPENED_AT).days
_WEEKDAYS = (1.0, 1.15, 1.2, 1.1, 0.9, 0.14, 0.1)
_HOLIDAYS = {(12, day) for day in range(20, 32)} | {(1, day) for day in range(1, 5)}
_PROJECTS = (
    ("support", "usual"),
    ("search-rank", "usual"),
    ("invoice-extract", "usual"),
    ("assistant-core", "flagship"),
    ("smoke", "smoke"),
    ("triage", "usual"),
    ("sql-gen", "large"),
    ("summarize", "usual"),
    ("intent", "usual"),
    ("contract-qa", "large"),
    ("tone", "preference"),
    ("code-review", "large"),
    ("faq", "usual"),
    ("base-refresh", "flagship"),
    ("tagger", "usual"),
    ("redact", "usual"),
)
SMOKE_TOKENS = (655, 1310, 4212, 12_005, 48_730, 655_000)
_SIZES = {"usual": (1.2e6, 1.0), "preference": (9e5, 0.8), "large": (1.6e7, 0.6), "flagship": (2.2e8, 0.4)}
_WANDB = ("support-bot", "search-quality", "doc-understanding")
_START_RATES = {"flagship": 0.28, "smoke": 0.45}  # how often its jobs are started, relative to 1


@dataclass(frozen=True)
class User:
    """A person who starts jobs."""

    user_id: str
    address: str
    weight: float  # how often they start jobs, relative to the others


@dataclass(frozen=True)
class Project:
    """A series of jobs that share a name, an owner, a model and roughly a size."""

    stem: str
    kind: str  # usual, preference, large, flagship, smoke
    owner: User
    model: Model
    epoch_tokens: int  # of the first version; later ones are larger. 0: a smoke test of any small size
    epochs: int
    full: bool
    dpo: bool
    validated: bool
    wandb: str | None
    since: datetime
    until: datetime

    @property
    def weight(self) -> float:
        """How often its jobs are started, relative to the other projects of its time."""
        return self.owner.weight * _START_RATES.get(self.kind, 1.0)


def users(rng: Random) -> list[User]:
    """Ten people, some far busier than others."""
    return [
        User(f"{rng.getrandbits(96) | 1 << 95:024x}", f"ml-{number:02d}@example.com", 1 / number**0.55)
        for number in range(1, 11)
    ]


def projects(rng: Random, people: list[User]) -> list[Project]:
    """About thirty projects over the two years, in the order of their start."""
    weights = [person.weight for person in people]
    started: list[Project] = []
    for number in range(2 * len(_PROJECTS)):
        stem, kind = _PROJECTS[number % len(_PROJECTS)]
        share = -0.12 + 1.02 * number / (2 * len(_PROJECTS)) + rng.uniform(-0.05, 0.05)
        since = OPENED_AT + timedelta(days=share * _DAYS)
        # Every third project goes to the next person in turn, so that everybody has one.
        owner = rng.choices(people, weights)[0] if number % 3 else people[number // 3 % len(people)]
        started.append(_project(rng, stem, kind, owner, since))
    return started


def _project(rng: Random, stem: str, kind: str, owner: User, since: datetime) -> Project:
    full = kind == "flagship" or (kind in {"usual", "large"} and rng.random() < 0.08)
    return Project(
        stem=stem,
        kind=kind,
        owner=owner,
        model=model_for(rng, kind, max(since, OPENED_AT)),
        epoch_tokens=0 if kind == "smoke" else _size(rng, kind),
        epochs=1 if kind == "smoke" else rng.choice((1, 2, 2, 3) if kind == "flagship" else (1, 2, 3, 3, 3, 4, 5)),
        full=full,
        dpo=kind == "preference",
        validated=kind != "smoke" and rng.random() < 0.45,
        wandb=rng.choice(_WANDB) if rng.random() < 0.4 else None,
        since=since,
        until=since + timedelta(days=rng.uniform(110, 330)),
    )


def model_for(rng: Random, kind: str, moment: datetime) -> Model:
    """A model of that time; flagships take the 70B class, smoke tests always the same model."""
    if kind == "smoke":
        return MODELS[0]
    models = [m for m in available_models(moment) if kind != "flagship" or 60 < m.billions < 100]
    return rng.choices(models, [m.weight for m in models])[0]


def _size(rng: Random, kind: str) -> int:
    median, spread = _SIZES[kind]
    return int(median * math.exp(rng.gauss(0.0, spread)))


def active_projects(all_projects: list[Project], moment: datetime) -> list[Project]:
    """The projects that run at a moment; if none does, the last one that started before it, or the first of all."""
    active = [p for p in all_projects if p.since <= moment < p.until]
    return active or [max(all_projects, key=lambda p: (p.since <= moment, p.since if p.since <= moment else OPENED_AT))]


def start_times(rng: Random, count: int) -> list[datetime]:
    """The times at which `count` jobs are started: more and more, mostly on weekdays, few around New Year."""
    days = [OPENED_AT + timedelta(days=n) for n in range(_DAYS)]
    week_factors = [math.exp(rng.gauss(0.0, 0.3)) for _ in range(_DAYS // 7 + 1)]
    weights = []
    for n, day in enumerate(days):
        holiday_factor = 0.15 if (day.month, day.day) in _HOLIDAYS else 1.0
        weights.append((0.3 + n / _DAYS) * _WEEKDAYS[day.weekday()] * week_factors[n // 7] * holiday_factor)
    times = [day + timedelta(hours=rng.triangular(6.0, 20.5, 13.5)) for day in rng.choices(days, weights, k=count)]
    return sorted(_to_millisecond(rng, moment) for moment in times)


def _to_millisecond(rng: Random, moment: datetime) -> datetime:
    # One in ten is a whole second, so that times without a fraction occur too.
    millisecond = 0 if rng.random() < 0.1 else moment.microsecond // 1000
    return moment.replace(microsecond=millisecond * 1000)
