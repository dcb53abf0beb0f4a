"""What is no markup is text, wherever it is put."""

from __future__ import annotations

import html
import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.html_report.markup import Markup, data, raw, seen, tag

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    '"><b>',
    "a'b",
    "&lt;",
    "\u202eevil",
    "\0",
    "a\nb",
    "\u2028",
    "<!--",
]


class _Read(HTMLParser):
    def __init__(self, told: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(told)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text_in_an_element_and_in_an_attribute(text: str) -> None:
    found = _Read(tag("p", text, title=text))
    assert found.tags == [("p", {"title": seen(text)})]
    assert "".join(found.texts) == seen(text)


@given(st.text())
def test_no_text_can_leave_its_place(text: str) -> None:
    found = _Read(tag("p", text, title=text))
    assert found.tags == [("p", {"title": seen(text)})]
    assert html.unescape(tag("p", text)[3:-4]) == seen(text)
    assert seen(text).isprintable() or not seen(text)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_data_is_json_that_no_text_can_leave(value: Any) -> None:
    told = data(value, id="d")
    content = told.removeprefix('<script type="application/json" id="d">').removesuffix("</script>")
    assert not {*"<>&\u2028\u2029"} & {*content}
    assert json.loads(content) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "<p></p>"), (False, "<p></p>"), (True, "<p x></p>"), (0, '<p x="0"></p>'), ("", '<p x=""></p>')],
)
def test_an_attribute_without_a_value_is_left_out(value: Any, told: str) -> None:
    assert tag("p", x=value) == told


def test_markup_is_put_in_as_it_is() -> None:
    assert tag("p", tag("b", "<"), Markup("<br>")) == "<p><b>&lt;</b><br></p>"
    assert tag("input", aria_label="a", class_="b") == '<input aria-label="a" class="b">'
    assert raw("style", "a > b {}") == "<style>a > b {}</style>"
