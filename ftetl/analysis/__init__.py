"""Cost, tokens, durations and failures of a snapshot, as pandas frames.

    from ftetl import analysis
    analysis.spend(ftetl.open("exports/"), by="model")

Each function takes what `ftetl.open` gives, one project or several, and returns a frame with Arrow-backed columns:
money is exact decimals in USD, times are UTC, durations are seconds that come from the events. `over_time` and `shown`
make such a frame ready for a chart and for reading. Knows the tables, and no
files.
"""

from ftetl.analysis.display import about, shown
from ftetl.analysis.durations import estimates, job_times, stage_names, stage_times
from ftetl.analysis.frames import BY
from ftetl.analysis.months import over_time
from ftetl.analysis.outcomes import failures, restarts, success
from ftetl.analysis.quality import oddities, unread_keys
from ftetl.analysis.spend import charges, effective_prices, prices, spend, waste

__all__ = [
    "BY",
    "about",
    "charges",
    "effective_prices",
    "estimates",
    "failures",
    "job_times",
    "oddities",
    "over_time",
    "prices",
    "restarts",
    "shown",
    "spend",
    "stage_names",
    "stage_times",
    "success",
    "unread_keys",
    "waste",
]
