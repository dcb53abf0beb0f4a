"""When the lists of a run were observed, beside those of the runs before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ftetl.clock import SKEW, now
from ftetl.config.settings import Settings
from ftetl.extract.extract import Extraction, wants_details
from ftetl.extract.source import Source
from ftetl.pipeline import list_watermark
from ftetl.store.target import Target


@dataclass(frozen=True)
class RunTimes:
    """The times of a run, and the number of its response that is the newest whole list ever, if one is."""

    whole: int | None
    newest_whole_at: datetime | None  # this run's list included
    base_whole_at: datetime | None  # before this run
    details_at: datetime | None  # when details were last asked for, this run included
    live_at: datetime | None  # when the service answered; None for saved responses
    is_certain: bool  # whether that time is more than this machine's clock

    def future_warning(self, newest_stored: datetime | None) -> str | None:
        """A warning if the newest stored observation before this run lies in the future."""
        newest = max(filter(None, (newest_stored, self.base_whole_at)), default=None)
        if newest is None or newest <= (self.live_at or now()) + SKEW:
            return None
        what = f"stored observations lie in the future, up to {newest:%Y-%m-%d %H:%M}, from a clock that was ahead"
        if self.live_at is None:
            return f"{what}; until then no saved response can replace their data; a run against the API corrects them"
        if not self.is_certain:
            return f"{what}; if this machine's clock is right, run again with --observed-at and the present time"
        return f"{what}; they are now dated to just before this run"


def run_times(target: Target, settings: Settings, source: Source, extraction: Extraction) -> RunTimes:
    """The times of the run that received the responses."""
    base_whole_at, details_at = list_watermark.newest_whole_at(target), list_watermark.details_at(target)
    live = [r for r in extraction.responses if r.whole] if source.service is not None else []
    live_at = max((r.observed_at for r in live), default=None)
    # What a service lists now is newer than all that is stored, even if that was dated by a clock that was ahead.
    whole = extraction.newest_whole(base_whole_at if live_at is None else None)
    newest_whole_at = extraction.responses[whole].observed_at if whole is not None else base_whole_at
    if live_at is not None and wants_details(settings, source):
        details_at = live_at
    is_certain = any(response.is_dated for response in live)
    return RunTimes(whole, newest_whole_at, base_whole_at, details_at, live_at, is_certain)
