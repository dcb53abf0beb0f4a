"""HTML that cannot forget to escape: what is no `Markup` is text, and text is escaped wherever it is put.

Knows HTML's syntax, and nothing of what it says.
"""

from __future__ import annotations

import html
import json
from typing import Any, Final

from ftetl.formatting import escape_unprintable

VOID: Final = frozenset({"meta", "br", "input"})  # elements that hold nothing
# In a script element: what could end it, begin a comment, or be a line end to old readers of JSON.
_UNSAFE: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class Markup(str):
    """HTML that is safe as it is."""

    __slots__ = ()


def seen(value: object) -> str:
    """A text as it may be shown: control and direction characters are written out."""
    told = str(value)
    return told if told.isprintable() else escape_unprintable(told)


def text(value: object) -> Markup:
    """Anything as HTML: markup as it is, all else as text."""
    return value if isinstance(value, Markup) else Markup(html.escape(seen(value)))


def join(*parts: object, by: str = "") -> Markup:
    """The parts that are not None, one after another."""
    return Markup(by.join(text(part) for part in parts if part is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element; attributes that are None or False are left out, and `class_` and `data_x` mean `class`, `data-x`."""
    kept = {key: value for key, value in attributes.items() if value is not None and value is not False}
    told = "".join(_attribute(key, value) for key, value in kept.items())
    if name in VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{join(*children)}</{name}>")


def raw(name: str, content: str, /, **attributes: object) -> Markup:
    """A script or style element, whose content is ours and is not escaped."""
    return tag(name, Markup(content), **attributes)


def data(value: Any, **attributes: object) -> Markup:
    """A script element that holds JSON, and that no text in it can leave."""
    told = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return raw("script", told.translate(_UNSAFE), type="application/json", **attributes)


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'
