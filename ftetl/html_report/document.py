"""The page as a whole: collects what each section shows and renders the template."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ftetl.html_report import jobs_table, quality_sections, spend_sections, training_sections
from ftetl.html_report.headline import headline, headline_document
from ftetl.html_report.templates import environment
from ftetl.snapshot.multi_project import Snapshots
from ftetl.snapshot.snapshot import Snapshot


@dataclass(frozen=True)
class Page:
    """The page's text, and the figures that stand first in it, as JSON."""

    html: str
    headline: dict[str, Any]


def build_page(snapshot: Snapshot | Snapshots) -> Page:
    """The page of a snapshot, of one project or several.

    Raises:
        StorageError: A table cannot be read, or is damaged.
    """
    projects = snapshot.snapshots if isinstance(snapshot, Snapshots) else (snapshot,)
    several = isinstance(snapshot, Snapshots)
    style, script = (files("ftetl.html_report").joinpath(n).read_text("utf-8") for n in ("style.css", "script.js"))
    figures = headline(snapshot)
    html = (
        environment()
        .get_template("page.html")
        .render(
            style=style,
            style_hash=_sha256(style),
            script=script,
            script_hash=_sha256(script),
            projects=projects,
            headline=figures,
            time=spend_sections.spend_over_time(snapshot),
            models=spend_sections.spend_by_name(snapshot, "model"),
            users=spend_sections.spend_by_name(snapshot, "user_id"),
            spend_by_project=spend_sections.spend_by_name(snapshot, "project") if several else None,
            prices=spend_sections.prices(snapshot),
            training=training_sections.cost_and_quality(snapshot),
            durations=quality_sections.durations(snapshot),
            outcomes=quality_sections.outcomes(snapshot),
            quality=quality_sections.quality(snapshot),
            columns=jobs_table.columns(snapshot, with_projects=several),
            static_rows=jobs_table.STATIC_ROWS,
        )
    )
    return Page(html + "\n", headline_document(figures))


def _sha256(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
