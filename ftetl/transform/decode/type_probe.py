"""Which raw jobs have a value of another kind than the shape of a job says.

Arrow gives up at the first such value of a batch, and names one job at a time; this names all of them at once, in a
third of the time that Arrow would read the batch in. It is a guess that saves time and decides nothing: what it takes
for plain Arrow may still refuse, and what it takes for odd becomes the same row on the careful road.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

import msgspec

from ftetl.transform.decode.source_schema import Items, Leaf, Node, job

_KINDS: dict[str, Any] = {
    "string": str,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": float,
    "boolean": bool,
}


def odd(raws: Iterable[bytes]) -> set[int]:
    """The places of the jobs that have such a value."""
    decode, found = _decoder().decode, set()
    for place, raw in enumerate(raws):
        try:
            decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            found.add(place)
    return found


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_struct(job()))


def _struct(node: Node) -> Any:
    # By other names, since a key of the API need not be one in Python.
    names = {f"k{number}": key for number, key in enumerate(node.children)}
    members = [(name, _kind(node.children[key]), None) for name, key in names.items()]
    return msgspec.defstruct("Object", members, rename=names, gc=False)


def _kind(child: Leaf | Node | Items) -> Any:
    if isinstance(child, Node):
        return _struct(child) | None
    if isinstance(child, Items):
        return list[_struct(child.node) | None] | None  # type: ignore[misc]
    if child.is_json:
        return msgspec.Raw
    kinds = _KINDS[child.kind] | None
    return kinds | _KINDS[child.other] if child.other else kinds
