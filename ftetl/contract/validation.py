"""The words of a contract: which there are, which values each may have, and which go together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftetl.errors import ConfigError

TYPES = ("string", "integer", "number", "boolean", "datetime", "decimal", "money", "quantity")
_EXACT = ("decimal", "money", "quantity")

# The ways from a raw value to a cell; each is one function in `transform/flatten` or, if it needs the raw text, in
# `transform/decode`.
READERS: dict[str, str] = {
    "value": "the value as it is",
    "nano_to_usd": "integer nano-USD as an exact decimal in USD",
    "lower_case": "text in lower case where that is a known spelling, else as it is",
    "bool_text": "text, or a boolean as `true` or `false`",
    "is_max": "whether an integer field holds the word `max`",
    "is_one_of": "whether the value is one of `values`",
    "json_text": "a list or object as compact JSON text",
    "last_event": "a field of the job's last event whose type is one of `values`",
    "position": "place in the list, from 0",
    "extra": "the keys that no column reads, as compact JSON text",
    "computed": "made by ftetl, not sent by the API",
}
_SOURCELESS = ("position", "extra", "computed")
# Which types of column a reader fills; those that are not here fill any but decimals.
_FILLS: dict[str, tuple[str, ...]] = {
    "nano_to_usd": ("decimal",),
    "lower_case": ("string",),
    "bool_text": ("string",),
    "is_max": ("boolean",),
    "is_one_of": ("boolean",),
    "json_text": ("string",),
    "last_event": ("string", "datetime"),
    "position": ("integer",),
    "extra": ("string",),
    "computed": TYPES,
}
_NEED_VALUES = ("is_one_of", "last_event")

# The words of a contract, and what each may be.
TABLE_WORDS: dict[str, tuple[type, ...]] = {
    "description": (str,),
    "key": (list,),
    "order": (list,),
    "columns": (dict,),
    "rows": (str,),
    "computed": (bool,),
    "ignore": (dict,),
    "secrets": (list,),
    "pii": (list,),
}
COLUMN_WORDS: dict[str, tuple[type, ...]] = {
    "type": (str,),
    "description": (str,),
    "from": (str, list),
    "read": (str,),
    "required": (bool,),
    "unit": (str,),
    "enum": (list,),
    "open": (bool,),
    "spellings": (dict,),
    "values": (list,),
    "minimum": (int,),
    "pattern": (str,),
    "references": (str,),
    "detail": (bool,),
    "fixed": (bool,),
    "after": (str,),
    "whole_seconds": (bool,),
    "pii": (bool,),
}
# Words that make sense for some types only, and words that make sense beside another one only.
_FOR_TYPES = {
    "enum": ("string",),
    "spellings": ("string",),
    "pattern": ("string",),
    "references": ("string",),
    "minimum": ("integer", "number"),
    "after": ("datetime",),
    "whole_seconds": ("datetime",),
    "pii": ("string",),  # what stands for a person is text, whatever the person was
}
_BESIDE = {"open": "enum", "spellings": "enum", "pii": "from"}
_NOT_BESIDE = {
    "pii": ("required", "enum", "pattern", "references", "values")
}  # another text, or NULL, may not fit them


def require_sense(at: Place, kind: str, read: str, raw: Mapping[str, Any]) -> None:
    """Refuse words of a column that contradict each other.

    Raises:
        ConfigError: Some do.
    """
    at.require(kind in TYPES, f"has type {kind!r}; known are {', '.join(TYPES)}")
    at.require(read in READERS, f"has read {read!r}; known are {', '.join(READERS)}")
    fills = _FILLS.get(read, tuple(t for t in TYPES if t not in _EXACT))
    at.require(kind in fills, f"is of type {kind}, but read = {read!r} gives {' or '.join(fills)}")
    at.require((read in _SOURCELESS) != ("from" in raw), f"and `from` do not go together with read = {read!r}")
    at.require((read in _NEED_VALUES) == ("values" in raw), f"and `values` do not go together with read = {read!r}")
    for word, kinds in _FOR_TYPES.items():
        at.require(word not in raw or kind in kinds, f"has `{word}`, which is for {' and '.join(kinds)} only")
    for word, other in _BESIDE.items():
        at.require(word not in raw or other in raw, f"has `{word}` without `{other}`")
    for word, others in _NOT_BESIDE.items():
        for other in others:
            at.require(not (raw.get(word) and raw.get(other)), f"has `{word}`, which does not go with `{other}`")
    spellings = raw.get("spellings", {})
    at.require(all(word in raw["enum"] for word in spellings.values()), "spells a word that is not in its `enum`")


@dataclass(frozen=True)
class Place:
    """A table or column of a contract, for messages, and the checks of its words."""

    table: str
    column: str | None = None

    def require(self, holds: bool, what: str) -> None:
        """Refuse the contract unless the condition holds.

        Raises:
            ConfigError: It does not.
        """
        if not holds:
            part = f"column {self.column}" if self.column else f"table {self.table}"
            raise ConfigError("K02", f"schemas/{self.table}.toml: {part} {what}", next="correct the contract")

    def words(self, raw: dict[str, Any], known: Mapping[str, tuple[type, ...]], needed: tuple[str, ...]) -> None:
        """Refuse unknown words, values of a wrong type, and missing words that are needed."""
        for word, value in raw.items():
            self.require(word in known, f"has the unknown word `{word}`; known are {', '.join(sorted(known))}")
            # Not isinstance: true and false are numbers there.
            self.require(type(value) in known[word], f"has a `{word}` that is no {known[word][-1].__name__}")
        for word in needed:
            self.require(bool(raw.get(word)), f"has no {word}")

    def texts(self, raw: dict[str, Any], word: str) -> tuple[str, ...]:
        """The texts that a word lists; none without the word."""
        if word not in raw:
            return ()
        found = [raw[word]] if isinstance(raw[word], str) else raw[word]
        fits = bool(found) and all(type(text) is str and text for text in found) and len({*found}) == len(found)
        self.require(fits, f"has a `{word}` that is empty, holds no text, or says a thing twice")
        return tuple(found)

    def keys(self, path: str) -> tuple[str, ...]:
        """The keys of a path."""
        found = tuple(path.removeprefix("/").split("."))
        self.require(all(found), f"has the path {path!r}, in which a key is missing")
        return found

    def pattern(self, raw: dict[str, Any]) -> str | None:
        """The regular expression, if there is one."""
        try:
            re.compile(raw.get("pattern", ""))
        except re.error:
            self.require(False, "has a `pattern` that is no regular expression")
        return raw.get("pattern")

    def reference(self, raw: dict[str, Any]) -> tuple[str, str] | None:
        """The table and the column that are referred to, if any."""
        if "references" not in raw:
            return None
        table, _, column = raw["references"].partition(".")
        self.require(bool(table and column), "has `references` that are not of the form table.column")
        return table, column
