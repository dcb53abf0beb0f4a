"""Cost, tokens, durations and failures of a snapshot, as pandas frames.

    from ftetl import analysis
    analysis.spend(ftetl.open("exports/"), by="model")

Each function takes what `ftetl.open` returns, one project or several, and returns a frame with Arrow-backed columns:
money is exact decimals in USD, times are UTC, durations are seconds taken from the events. `over_time` and `shown`
prepare such a frame for a chart and for reading; the formatting functions write single values the same way.
"""

from ftetl.analysis.display import about, shown
from ftetl.analysis.duplicates import likely_duplicates
from ftetl.analysis.durations import estimates, job_times, stage_names, stage_times
from ftetl.analysis.frames import BY
from ftetl.analysis.months import over_time
from ftetl.analysis.outcomes import failures, restarts, success
from ftetl.analysis.quality import oddities, unread_keys
from ftetl.analysis.reconcile import reconcile
from ftetl.analysis.spend import charges, effective_prices, prices, spend, waste
from ftetl.analysis.training_quality import cost_and_quality, learning_curves
from ftetl.formatting import (
    axis_number,
    display_name,
    exact_number,
    format_duration,
    format_percent,
    format_usd,
    pluralize,
    rounded_count,
)

__all__ = [
    "BY", "about", "axis_number", "charges", "cost_and_quality", "display_name", "effective_prices", "estimates",
    "exact_number", "failures", "format_duration", "format_percent", "format_usd", "job_times", "learning_curves",
    "likely_duplicates", "oddities", "over_time", "pluralize", "prices", "reconcile", "restarts", "rounded_count",
    "shown", "spend", "stage_names", "stage_times", "success", "unread_keys", "waste",
]  # fmt: skip
