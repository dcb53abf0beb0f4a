"""The data dictionary: the contracts as a Markdown page and as a JSON document.

`python -m ftetl.contract.markdown > schemas/README.md` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ftetl.contract import Column, Table, tables
from ftetl.contract.validation import READERS

_INTRO = """# The tables

Every table is always there, with every column, sorted by its key or as it says. Times are UTC; money is nano-USD
(1e-9 USD) as an integer, beside an exact decimal in USD. NULL stands for what the API left out, or sent as null, as
empty text or as the zero time; numbers keep their 0. What is marked "detail only" comes from `GET /fine-tunes/{id}` and
keeps its last known value when only the list was read. What is marked "personal" names a person: `--pii hash` puts a
pseudonym in its place, `--pii drop` NULL.

In Arrow's words `integer` is `int64`, `number` is `double`, `boolean` is `bool`, `datetime` is
`timestamp[us, tz=UTC]` and `decimal` is `decimal128(18, 9)`; `string` is UTF-8. With more digits than 18 pandas could
not divide a price by a quantity, and Tableau's Hyper would not take the table.

Generated from the contracts beside this file with `python -m ftetl.contract.markdown > schemas/README.md`;
`ftetl schema` prints the same.
"""


def page() -> str:
    """The whole dictionary as Markdown."""
    return "\n".join([_INTRO, *(section(table) for table in tables().values())])


def document(names: list[str]) -> dict[str, Any]:
    """These tables as one JSON document."""
    return {name: _document(tables()[name]) for name in names}


def _document(table: Table) -> dict[str, Any]:
    return {
        "description": table.description,
        "key": list(table.key),
        "order": list(table.sorted_by),
        "fingerprint": table.fingerprint,
        "ignored": dict(table.ignore),
        "columns": [_column(column) for column in table.columns],
    }


def _column(column: Column) -> dict[str, Any]:
    words = vars(column) | {
        "sources": [str(source) for source in column.sources],
        "references": ".".join(column.references) if column.references else None,
    }
    description = words.pop("description")
    return {"from" if word == "sources" else word: value for word, value in words.items()} | {
        "description": description
    }


def section(table: Table) -> str:
    """One table as Markdown."""
    key = f"Key: {_list(table.key)}." + (f" Sorted by {_list(table.order)}." if table.order else "")
    lines = [f"## {table.name}", "", table.description, "", key, ""]
    lines += ["| column | type | meaning | from |", "| --- | --- | --- | --- |"]
    lines += [f"| `{c.name}` | {kind(c)} | {_cell(meaning(c))} | {_cell(origin(c))} |" for c in table.columns]
    if table.ignore:
        ignored = "; ".join(f"`{path}` ({reason})" for path, reason in table.ignore.items())
        lines += ["", f"Not read on purpose: {ignored}."]
    return "\n".join([*lines, ""])


def kind(column: Column) -> str:
    """The type, the unit, whether the column may be NULL, and whether it names a person."""
    marks = {"whole seconds": column.whole_seconds, "not null": column.required, "personal": column.pii}
    return ", ".join(
        [column.type, *([column.unit] if column.unit else []), *(m for m, is_so in marks.items() if is_so)]
    )


def meaning(column: Column) -> str:
    """The description, with the known values where there are some."""
    text = column.description
    if column.enum:
        text += f" {'Known values' if column.open else 'Values'}: {_list(column.enum)}."
    if column.references:
        text += f" Refers to `{'.'.join(column.references)}`."
    return text


def origin(column: Column) -> str:
    """Where in the API's response the value comes from."""
    how = READERS[column.read].meaning.replace("`values`", _list(column.values))
    if not column.sources:
        return how
    paths = _list([str(source) for source in column.sources])
    where = ", detail only" if column.detail else ""
    return paths + where if column.read == "value" else f"{paths}{where}: {how}"


def _list(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
