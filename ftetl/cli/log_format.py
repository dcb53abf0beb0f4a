"""Log lines as text for people or as JSON for log collectors; text from outside is escaped in both."""

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


class TextLines(logging.Formatter):
    """One line a record, with its time in UTC to the millisecond."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """The time of a record."""
        return _timestamp(record.created)

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return escape_unprintable(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `event`, `message`, `pid`, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        message = record.getMessage()
        event = re.sub(r"[^a-z0-9]+", "_", message.split(" ", 1)[0].lower()).strip("_") or "message"
        return json_line(record.levelname, event, message, getattr(record, "fields", {}), record=record)


def json_line(
    level: str, event: str, message: str, fields: Mapping[str, Any], *, record: logging.LogRecord | None = None
) -> str:
    """One log line as JSON, in ASCII, so that it can be written in every locale.

    Args:
        level: such as `INFO`.
        event: the kind of line, one word.
        message: the text for people.
        fields: more keys; none of them replaces a standard one.
        record: where the time and the logger come from; else now, and `ftetl`.
    """
    standard = {
        "ts": _timestamp(record.created if record else time.time()),
        "level": level,
        "logger": record.name if record else "ftetl",
        "event": event,
        "message": message,
        "pid": os.getpid(),
    }
    return json.dumps({**fields, **standard})


def _timestamp(created: float) -> str:
    return dt.datetime.fromtimestamp(created, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
