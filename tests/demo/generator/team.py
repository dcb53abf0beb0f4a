"""The invented team: its people, the projects they tune models for, and the days on which they start jobs.

Knows neither events nor the wire. Names, addresses and numbers are made up; addresses end in example.com.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from ftetl.demo import OBSERVED_AT
from tests.demo.generator.models import MODELS, Model, choices

OPENED_AT = datetime(2024, 11, 20, tzinfo=UTC)

_DAYS = (OBSERVED_AT - OPENED_AT).days
_WEEKDAYS = (1.0, 1.15, 1.2, 1.1, 0.9, 0.14, 0.1)
_QUIET = {(12, day) for day in range(20, 32)} | {(1, day) for day in range(1, 5)}
_STEMS = (
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
_TAKEN_UP = {"flagship": 0.28, "smoke": 0.45}  # how often a project is taken up, against the usual 1


@dataclass(frozen=True)
class User:
    """Somebody who starts jobs."""

    user_id: str
    address: str
    liking: float


@dataclass(frozen=True)
class Project:
    """What a series of jobs is for; its jobs share a stem, an owner, a model and about a size."""

    stem: str
    kind: str  # usual, preference, large, flagship, smoke
    owner: User
    model: Model
    epoch_tokens: int  # of the first version; later ones grow. 0: smoke tests are as small as can be
    epochs: int
    full: bool
    dpo: bool
    validated: bool
    wandb: str | None
    since: datetime
    until: datetime

    @property
    def liking(self) -> float:
        """How often it is taken up, against the others of its days."""
        return self.owner.liking * _TAKEN_UP.get(self.kind, 1.0)


def users(rng: Random) -> list[User]:
    """Ten people, some far busier than others."""
    return [
        User(f"{rng.getrandbits(96) | 1 << 95:024x}", f"ml-{number:02d}@example.com", 1 / number**0.55)
        for number in range(1, 11)
    ]


def projects(rng: Random, people: list[User]) -> list[Project]:
    """About thirty projects over the two years; on every day there are some."""
    everyone = [person.liking for person in people]
    found = []
    for number in range(2 * len(_STEMS)):
        stem, kind = _STEMS[number % len(_STEMS)]
        share = -0.12 + 1.02 * number / (2 * len(_STEMS)) + rng.uniform(-0.05, 0.05)
        since = OPENED_AT + timedelta(days=share * _DAYS)
        # Every third project goes around, so that everybody has one.
        owner = rng.choices(people, everyone)[0] if number % 3 else people[number // 3 % len(people)]
        found.append(_project(rng, stem, kind, owner, since))
    return found


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
    """A favourite of its days; flagships want the 70B class, smoke tests the model that everybody takes."""
    if kind == "smoke":
        return MODELS[0]
    models = [m for m in choices(moment) if kind != "flagship" or 60 < m.billions < 100]
    return rng.choices(models, [m.liking for m in models])[0]


def _size(rng: Random, kind: str) -> int:
    median, spread = _SIZES[kind]
    return int(median * math.exp(rng.gauss(0.0, spread)))


def alive(found: list[Project], moment: datetime) -> list[Project]:
    """The projects that run at a moment; if none does, the one that started last before it, or the first."""
    now = [p for p in found if p.since <= moment < p.until]
    return now or [max(found, key=lambda p: (p.since <= moment, p.since if p.since <= moment else OPENED_AT))]


def starts(rng: Random, count: int) -> list[datetime]:
    """The moments at which `count` jobs are asked for: ever more, on working days, few around the turn of the year."""
    days = [OPENED_AT + timedelta(days=n) for n in range(_DAYS)]
    mood = [math.exp(rng.gauss(0.0, 0.3)) for _ in range(_DAYS // 7 + 1)]
    weights = [
        (0.3 + n / _DAYS) * _WEEKDAYS[day.weekday()] * mood[n // 7] * (0.15 if (day.month, day.day) in _QUIET else 1.0)
        for n, day in enumerate(days)
    ]
    found = [day + timedelta(hours=rng.triangular(6.0, 20.5, 13.5)) for day in rng.choices(days, weights, k=count)]
    return sorted(_to_millisecond(rng, moment) for moment in found)


def _to_millisecond(rng: Random, moment: datetime) -> datetime:
    # One in ten falls on a whole second, so that a time without a fraction is seen too.
    millisecond = 0 if rng.random() < 0.1 else moment.microsecond // 1000
    return moment.replace(microsecond=millisecond * 1000)
