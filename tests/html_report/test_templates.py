"""Text that a template prints stays text, wherever it is put."""

from __future__ import annotations

import html
import json
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from ftetl import formatting, html_report
from ftetl.formatting import escape_unprintable
from ftetl.html_report.templates import environment, figure

D = Decimal
TEMPLATES = sorted((Path(html_report.__file__).parent / "templates").iterdir())
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


def render(source: str, **values: object) -> str:
    return environment().from_string(source).render(**values)


def macro(name: str, *arguments: object) -> str:
    return str(getattr(environment().get_template("macros.html").module, name)(*arguments))


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text_in_an_element_and_in_an_attribute(text: str) -> None:
    page = _Reader(render('<p title="{{ text }}">{{ text }}</p>', text=text))
    assert page.tags == [("p", {"title": escape_unprintable(text)})]
    assert "".join(page.texts) == escape_unprintable(text)


@given(st.text())
def test_no_text_can_leave_its_place(text: str) -> None:
    page = _Reader(render('<p title="{{ text }}">{{ text }}</p>', text=text))
    assert page.tags == [("p", {"title": escape_unprintable(text)})]
    assert html.unescape(render("<p>{{ text }}</p>", text=text)[3:-4]) == escape_unprintable(text)
    assert escape_unprintable(text).isprintable() or not escape_unprintable(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_can_leave_a_macro(text: str) -> None:
    cell = _Reader(macro("table", text, [text], [(text, text)]))
    shown = escape_unprintable(text)
    assert {tag for tag, _ in cell.tags} == {"div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert "".join(cell.texts).count(shown) == 4
    assert dict(cell.tags)["div"]["aria-label"] == shown
    assert _Reader(macro("data", text, text, text, text)).tags == [
        ("data", {"value": shown, "title": shown, "data-figure": shown})
    ]


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_data_is_json_that_no_text_can_leave(value: Any) -> None:
    page = render('<script type="application/json" id="d">{{ value|tojson }}</script>', value=value)
    content = page.removeprefix('<script type="application/json" id="d">').removesuffix("</script>")
    assert not {*"<>&\u2028\u2029"} & {*content}
    assert json.loads(content) == value


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        render("{{ value|tojson }}", value=float("nan"))


@pytest.mark.parametrize(
    ("value", "expected"), [(None, ""), (0, ' x="0"'), ("", ' x=""'), ('"', ' x="&#34;"'), ("a", ' x="a"')]
)
def test_an_attribute_without_a_value_is_left_out(value: Any, expected: str) -> None:
    assert macro("attribute", "x", value) == expected


def test_markup_is_put_in_as_it_is() -> None:
    assert render("<p>{{ text }}{{ html }}</p>", text="<", html=Markup("<br>")) == "<p>&lt;<br></p>"
    assert render("<style>{{ style|safe }}</style>", style="a > b {}") == "<style>a > b {}</style>"


def test_an_unknown_name_is_an_error_and_not_empty() -> None:
    for source in ("{{ missing }}", "{% if missing %}{% endif %}", "{{ row.missing }}"):
        with pytest.raises(UndefinedError, match="missing"):
            render(source, row={})


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_turns_escaping_off(path: Path) -> None:
    """Only our own style and script are printed as they are."""
    source = path.read_text("utf-8")
    safe = ["{{ style|safe }}", "{{ script|safe }}"] if path.name == "page.html" else []

    assert "autoescape" not in source
    assert "Markup" not in source
    assert source.count("safe") == len(safe)
    assert all(source.count(place) == 1 for place in safe)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (formatting.MISSING, None, None)),
        ("text", ("text", None, None)),
        ("x" * 400, (formatting.shorten("x" * 400), None, None)),
        (1234, ("1,234", "1234", None)),
        (D("1234.500000000"), ("$1,234.50", "1234.5", None)),
        (D("0.123456789"), ("$0.12", "0.123456789", "$0.123456789")),
        (3661.25, ("1 h 1 min", "3661.25", None)),
        (0.0, ("0.0 s", "0", None)),
    ],
)
def test_a_figure_has_its_exact_value_beside_its_text(value: object, expected: tuple[str, str | None]) -> None:
    assert figure(value) == expected
