"""Pages of given jobs, read back as a tree."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import html_report
from ftetl.snapshot.snapshot import Snapshot

VOID = {"meta", "br", "input", "link", "img", "hr"}


class Node:
    """An element: its name, its attributes, what is in it."""

    def __init__(self, name: str, attributes: dict[str, str | None]) -> None:
        self.name, self.attributes = name, attributes
        self.children: list[Node | str] = []

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, *names: str) -> list[Node]:
        """The elements of these names below it, in order; all of them without a name."""
        found: list[Node] = []
        for child in self.children:
            if isinstance(child, Node):
                found += [child] if not names or child.name in names else []
                found += child.all(*names)
        return found

    def one(self, attribute: str, value: str) -> Node:
        (found,) = [node for node in self.all() if node.attributes.get(attribute) == value]
        return found

    def rows(self) -> list[list[str]]:
        return [[cell.text for cell in row.all("th", "td")] for row in self.all("tr")]


class Tree(HTMLParser):
    """Reads a page and accepts nothing that a browser would have to mend."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        assert len(attrs) == len(node.attributes), "no attribute twice"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(html: str) -> Node:
    tree = Tree()
    tree.feed(html)
    tree.close()
    assert tree.open == [tree.root], "all is closed"
    return tree.root


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    """A completed job of July 2026, unless `fields` say otherwise."""
    made = {"created_at": "2026-07-02T08:10:14Z", "updated_at": "2026-07-02T09:00:00Z"}
    return {"id": job_id, "status": "completed", "model": "m", **made, **fields}


@pytest.fixture
def snapshot(tmp_path: Path) -> Callable[..., Snapshot]:
    """A snapshot of these jobs, as the API writes them."""

    def made(*jobs: Any) -> Snapshot:
        (tmp_path / "jobs.json").write_text(json.dumps({"data": list(jobs)}), "utf-8")
        ftetl.export(tmp_path / "target", source=tmp_path / "jobs.json", observed_at="2026-11-20T00:00:00Z")
        return ftetl.open(tmp_path / "target")

    return made


@pytest.fixture
def job_record() -> Callable[..., dict[str, Any]]:
    """A job as the API writes it."""
    return job


@pytest.fixture
def tree() -> Callable[[Snapshot], Node]:
    """The page of a snapshot, as a tree."""
    return lambda snapshot: read(html_report.build_page(snapshot).html)


@pytest.fixture(scope="session")
def demo_page(demo_target: Path) -> Node:
    return read(html_report.build_page(ftetl.open(demo_target)).html)
