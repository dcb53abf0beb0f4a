"""Cost, tokens, durations and failures of a snapshot, as pandas frames.

    from ftetl import analysis
    analysis.spend(ftetl.open("exports/"), by="model")

Each function takes what `ftetl.open` gives, one project or several, and returns a frame with Arrow-backed columns:
money is exact decimals in USD, times are UTC, durations are seconds that come from the events. Knows the tables, and no
files.
"""

from ftetl.analysis.durations import estimates, job_times, stage_names, stage_times
from ftetl.analysis.frames import BY
from ftetl.analysis.money import charges, effective_prices, prices, spend, waste
from ftetl.analysis.outcomes import failures, restarts, success
from ftetl.analysis.quality import oddities, unread_keys

__all__ = [
    "BY",
    "charges",
    "effective_prices",
    "estimates",
    "failures",
    "job_times",
    "oddities",
    "prices",
    "restarts",
    "spend",
    "stage_names",
    "stage_times",
    "success",
    "unread_keys",
    "waste",
]
