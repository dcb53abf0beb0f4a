"""The public base models that the invented team fine-tunes, and the times in which each is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_STILL = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Model:
    """One base model as the API names it."""

    name: str
    billions: float  # parameters
    context: int  # tokens
    weight: float  # how often it is chosen, relative to the others
    since: datetime  # not chosen before
    until: datetime = _STILL  # not chosen afterwards
    vision: bool = False
    exempt: bool = False  # from the minimum price

    @property
    def short(self) -> str:
        """The name without its publisher."""
        return self.name.partition("/")[2]


def _month(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


MODELS: tuple[Model, ...] = (
    Model("meta-llama/Meta-Llama-3.1-8B-Instruct-Reference", 8.03, 131072, 30, _month(2024, 7)),
    Model("meta-llama/Llama-3.3-70B-Instruct-Reference", 70.6, 131072, 11, _month(2024, 12)),
    Model("Qwen/Qwen2.5-7B-Instruct", 7.62, 32768, 16, _month(2024, 9), _month(2025, 9)),
    Model("Qwen/Qwen3-8B", 8.19, 40960, 22, _month(2025, 5)),
    Model("Qwen/Qwen2.5-72B-Instruct", 72.7, 32768, 6, _month(2024, 9), _month(2026, 2)),
    Model("Qwen/Qwen2.5-14B-Instruct", 14.8, 32768, 7, _month(2024, 9), _month(2026, 1)),
    Model("mistralai/Mistral-7B-Instruct-v0.2", 7.24, 32768, 12, _month(2023, 12), _month(2025, 4)),
    Model("mistralai/Mixtral-8x7B-Instruct-v0.1", 46.7, 32768, 5, _month(2023, 12), _month(2025, 6)),
    Model("meta-llama/Llama-3.2-1B-Instruct", 1.24, 131072, 5, _month(2024, 10), exempt=True),
    Model("google/gemma-3-12b-it", 12.2, 131072, 8, _month(2025, 4), vision=True),
    Model("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", 70.6, 131072, 4, _month(2025, 2), _month(2026, 3)),
    Model("openai/gpt-oss-20b", 20.9, 16384, 12, _month(2025, 8), exempt=True),
    Model("openai/gpt-oss-120b", 116.8, 16384, 6, _month(2025, 8)),
)


def available_models(moment: datetime) -> list[Model]:
    """The models that can be chosen at a moment."""
    return [m for m in MODELS if m.since <= moment < m.until]
