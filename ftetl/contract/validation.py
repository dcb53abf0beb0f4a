"""The words of a contract: which there are, which values each may have, and which go together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ftetl.errors import ConfigError

_INEXACT = ("string", "integer", "number", "boolean", "datetime")
TYPES = (*_INEXACT, "decimal")


class Reader(NamedTuple):
    """A way from a raw value to a cell: what it does, and the types of the columns that it fills."""

    meaning: str
    fills: tuple[str, ...]
    has_source: bool = True
    has_values: bool = False


# Each is one function in `transform/flatten` or, if it needs the raw text, in `transform/decode`.
READERS: dict[str, Reader] = {
    "value": Reader("the value as it is", _INEXACT),
    "nano_to_usd": Reader("integer nano-USD as an exact decimal in USD", ("decimal",)),
    "unix_seconds": Reader("whole seconds since 1970 as a time; 0 as none", ("datetime",)),
    "decimal": Reader(
        "a decimal number, in text or not: as text exact, as a decimal rounded to 9 places, as a number the nearest",
        ("string", "decimal", "number"),
    ),
    "lower_case": Reader("text in lower case where that is a known spelling, else as it is", ("string",)),
    "bool_text": Reader("text, or a boolean as `true` or `false`", ("string",)),
    "is_max": Reader("whether an integer field holds the word `max`", ("boolean",)),
    "is_one_of": Reader("whether the value is one of `values`", ("boolean",), has_values=True),
    "json_text": Reader("a list or object as compact JSON text", ("string",)),
    "last_event": Reader(
        "a field of the job's last event whose type is one of `values`", ("string", "datetime"), has_values=True
    ),
    "position": Reader("place in the list, from 0", ("integer",), has_source=False),
    "extra": Reader("the keys that no column reads, as compact JSON text", ("string",), has_source=False),
    "computed": Reader("made by ftetl, not sent by the API", TYPES, has_source=False),
}


class Word(NamedTuple):
    """What the value of a word may be, for which types of column it makes sense, and beside which other words."""

    kinds: tuple[type, ...]
    types: tuple[str, ...] = TYPES
    needs: str | None = None
    excludes: tuple[str, ...] = ()


_TEXT, _FLAG, _LIST, _TABLE = Word((str,)), Word((bool,)), Word((list,)), Word((dict,))

TABLE_WORDS: dict[str, Word] = {
    "description": _TEXT,
    "key": _LIST,
    "order": _LIST,
    "columns": _TABLE,
    "rows": _TEXT,
    "computed": _FLAG,
    "endpoint": _TEXT,
    "group": _TEXT,
    "ignore": _TABLE,
    "secrets": _LIST,
    "pii": _LIST,
}
COLUMN_WORDS: dict[str, Word] = {
    "type": _TEXT,
    "description": _TEXT,
    "from": Word((str, list)),
    "read": _TEXT,
    "required": _FLAG,
    "unit": _TEXT,
    "enum": Word((list,), ("string",)),
    "open": Word((bool,), needs="enum"),
    "spellings": Word((dict,), ("string",), needs="enum"),
    "values": _LIST,
    "minimum": Word((int,), ("integer", "number")),
    "pattern": Word((str,), ("string",)),
    "references": Word((str,), ("string",)),
    "detail": _FLAG,
    "fixed": _FLAG,
    "after": Word((str,), ("datetime",)),
    "whole_seconds": Word((bool,), ("datetime",)),
    # What stands for a person is text, whatever the person was: another text or NULL, which these may not allow.
    "pii": Word((bool,), ("string",), "from", ("required", "enum", "pattern", "references", "values")),
}


def require_consistent(at: Place, kind: str, read: str, raw: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` if words of a column contradict each other."""
    at.require(kind in TYPES, f"has type {kind!r}; known are {', '.join(TYPES)}")
    at.require(read in READERS, f"has read {read!r}; known are {', '.join(READERS)}")
    reader = READERS[read]
    at.require(kind in reader.fills, f"is of type {kind}, but read = {read!r} gives {' or '.join(reader.fills)}")
    for name, is_needed in (("from", reader.has_source), ("values", reader.has_values)):
        rule = "needs" if is_needed else "does not allow"
        at.require(is_needed == (name in raw), f"has read = {read!r}, which {rule} `{name}`")
    for name, value in raw.items():
        word = COLUMN_WORDS[name]
        if kind not in word.types:
            at.require(False, f"has `{name}`, which is for {' and '.join(word.types)} only")
        at.require(word.needs is None or word.needs in raw, f"has `{name}` without `{word.needs}`")
        for other in word.excludes:
            at.require(not (value and raw.get(other)), f"has `{name}`, which does not go with `{other}`")
    spellings = raw.get("spellings", {})
    at.require(all(text in raw["enum"] for text in spellings.values()), "spells a value that is not in its `enum`")


@dataclass(frozen=True)
class Place:
    """A table or column of a contract, for messages, and the checks of its words."""

    table: str
    column: str | None = None

    def require(self, holds: bool, what: str) -> None:
        """Raise a `ConfigError` about this place unless the condition holds."""
        if not holds:
            part = f"column {self.column}" if self.column else f"table {self.table}"
            raise ConfigError("K02", f"schemas/{self.table}.toml: {part} {what}", next="correct the contract")

    def words(self, raw: dict[str, Any], known: Mapping[str, Word], needed: tuple[str, ...]) -> None:
        """Refuse unknown words, values of a wrong type, and missing words that are needed."""
        for word, value in raw.items():
            if word not in known:  # the text of an error is only made for one, here thousands of times
                self.require(False, f"has the unknown word `{word}`; known are {', '.join(sorted(known))}")
            # Not isinstance: true and false are numbers there.
            if type(value) not in known[word].kinds:
                self.require(False, f"has a `{word}` that is not of type {known[word].kinds[-1].__name__}")
        for word in needed:
            self.require(bool(raw.get(word)), f"has no {word}")

    def texts(self, raw: dict[str, Any], word: str) -> tuple[str, ...]:
        """The texts that a word lists; none without the word."""
        if word not in raw:
            return ()
        texts = [raw[word]] if isinstance(raw[word], str) else raw[word]
        fits = bool(texts) and all(type(text) is str and text for text in texts) and len({*texts}) == len(texts)
        self.require(fits, f"has a `{word}` that is empty, holds something other than text, or a text twice")
        return tuple(texts)

    def keys(self, path: str) -> tuple[str, ...]:
        """The keys of a path."""
        keys = tuple(path.removeprefix("/").split("."))
        self.require(all(keys), f"has the path {path!r}, in which a key is missing")
        return keys

    def pattern(self, raw: dict[str, Any]) -> str | None:
        """The regular expression, if there is one."""
        if "pattern" not in raw:
            return None
        try:
            re.compile(raw["pattern"])
        except re.error:
            self.require(False, "has a `pattern` that is not a regular expression")
        return str(raw["pattern"])

    def reference(self, raw: dict[str, Any]) -> tuple[str, str] | None:
        """The table and the column that are referred to, if any."""
        if "references" not in raw:
            return None
        table, _, column = raw["references"].partition(".")
        self.require(bool(table and column), "has a `references` that is not of the form table.column")
        return table, column
