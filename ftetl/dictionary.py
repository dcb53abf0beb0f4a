"""The data dictionary: the contracts as a page for people and as a document for machines.

Knows nothing but the contracts.
"""

from __future__ import annotations

from typing import Any

from ftetl.contract import READERS, Column, Table, tables

_INTRO = """# The tables

Generated from the contracts beside this file; `ftetl schema` prints the same. Every table is always there, with every
column, and sorted by its key. Times are UTC to the microsecond, money is nano-USD (1e-9 USD) as an integer beside an
exact decimal in USD. NULL stands for what the API left out, sent as null, as empty text or as the zero time; numbers
keep their 0.
"""


def page() -> str:
    """The whole dictionary as Markdown."""
    return "\n".join([_INTRO, *(section(table) for table in tables().values())])


def document(names: list[str]) -> dict[str, Any]:
    """These tables as one JSON document."""
    return {name: _document(tables()[name]) for name in names}


def _document(table: Table) -> dict[str, Any]:
    columns = [
        {
            "name": c.name,
            "type": c.type,
            "required": c.required,
            "unit": c.unit,
            "from": [str(s) for s in c.sources],
            "read": c.read,
            "enum": list(c.enum),
            "open": c.open,
            "minimum": c.minimum,
            "pattern": c.pattern,
            "references": ".".join(c.references) if c.references else None,
            "detail": c.detail,
            "description": c.description,
        }
        for c in table.columns
    ]
    return {
        "description": table.description,
        "key": list(table.key),
        "fingerprint": table.fingerprint,
        "ignored": dict(table.ignore),
        "columns": columns,
    }


def section(table: Table) -> str:
    """One table as Markdown."""
    lines = [f"## {table.name}", "", table.description, "", f"Key: {', '.join(f'`{k}`' for k in table.key)}.", ""]
    lines += ["| column | type | meaning | from |", "| --- | --- | --- | --- |"]
    lines += [f"| `{c.name}` | {kind(c)} | {meaning(c)} | {origin(c)} |" for c in table.columns]
    if table.ignore:
        ignored = "; ".join(f"`{path}` ({reason})" for path, reason in table.ignore.items())
        lines += ["", f"Not read on purpose: {ignored}."]
    return "\n".join([*lines, ""])


def kind(column: Column) -> str:
    """The type, the unit, and whether the column may be NULL."""
    unit = f", {column.unit}" if column.unit else ""
    return f"{column.type}{unit}{', not null' if column.required else ''}"


def meaning(column: Column) -> str:
    """The description, with the known values where there are some."""
    text = column.description.replace("|", "\\|")
    if column.enum:
        words = ", ".join(f"`{word}`" for word in column.enum)
        text += f" {'Known values' if column.open else 'Values'}: {words}."
    if column.references:
        text += f" Refers to `{'.'.join(column.references)}`."
    return text


def origin(column: Column) -> str:
    """Where in the API's answer the value comes from."""
    if not column.sources:
        return READERS[column.read]
    paths = ", ".join(f"`{source}`" for source in column.sources)
    where = " (detail)" if column.detail else ""
    return paths + where if column.read == "value" else f"{paths}: {READERS[column.read]}{where}"
