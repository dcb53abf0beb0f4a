"""The page of the architecture shows what is so: its files exist, its arrows are allowed, its glossary is short."""

from __future__ import annotations

import itertools
import re

from tests.architecture.test_layers import MAY_IMPORT
from tests.docs.pages import ROOT, text_of

PAGE = text_of("architecture.md")
PACKAGES = {path.name for path in (ROOT / "ftetl").iterdir() if (path / "__init__.py").exists()}
TERMS = 25


def test_every_file_that_it_names_exists() -> None:
    walk = PAGE[PAGE.index("## One job") : PAGE.index("## Glossary")]
    paths = set(re.findall(r"`((?:\w+/)+\w+\.py)`", walk))

    assert len(paths) >= 20
    assert [path for path in sorted(paths) if not (ROOT / "ftetl" / path).exists() and not (ROOT / path).exists()] == []


def test_every_arrow_of_the_picture_is_an_import_that_is_allowed() -> None:
    picture = re.findall(r"^```mermaid\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    chains = [line.strip().split(" --> ") for line in picture.splitlines() if "-->" in line]
    arrows = [pair for chain in chains for pair in itertools.pairwise(chain)]

    assert len(arrows) >= 15
    assert [(one, other) for one, other in arrows if other not in MAY_IMPORT[one]] == []


def test_every_package_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| ", PAGE[: PAGE.index("## One job")], re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == PACKAGES


def test_the_glossary_is_short_and_in_order() -> None:
    terms = re.findall(r"^\| ([a-z][a-z -]+) \| ", PAGE[PAGE.index("## Glossary") :], re.MULTILINE)[1:]

    assert terms == sorted(terms)
    assert 15 <= len(terms) <= TERMS
