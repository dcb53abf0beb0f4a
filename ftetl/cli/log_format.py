"""One line of talk: as people read it, or as JSON for whoever collects logs.

Knows neither who talks nor where it goes. Text from outside is escaped in both forms.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from ftetl.formatting import escape_unprintable

FORMATS: Final = ("text", "json")
_PAIR: Final = re.compile(r"(?<!\S)([a-z_]+)=(\S+)")
_NUMBER: Final = re.compile(r"-?\d{1,18}(\.\d{1,9})?")


class Lines(logging.Formatter):
    """UTC to the millisecond, on one line."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """The moment of a record."""
        return _moment(record.created)

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return escape_unprintable(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `event`, `message`, `pid`, and what the message counts."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        message = record.getMessage()
        counts = {name: _value(text) for name, text in _PAIR.findall(message)}
        event = re.sub(r"[^a-z0-9]+", "_", message.split(" ", 1)[0].lower()).strip("_") or "said"
        return as_json(record.levelname, record.name, event, message, counts, created=record.created)


def as_json(
    level: str, logger: str, event: str, message: str, more: Mapping[str, Any], *, created: float | None = None
) -> str:
    """One line of JSON, with what there is `more` to tell; ASCII only, so that every locale can write it."""
    known = {
        "ts": _moment(time.time() if created is None else created),
        "level": level,
        "logger": logger,
        "event": event,
        "message": message,
        "pid": os.getpid(),
    }
    return json.dumps({**more, **known})


def _moment(created: float) -> str:
    return dt.datetime.fromtimestamp(created, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _value(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return {"True": True, "False": False}.get(text, text)
