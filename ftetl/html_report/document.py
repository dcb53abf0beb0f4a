"""The page as a whole: head, policy, headline, sections, jobs, in this order.

Knows what is on the page, and not where it goes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from ftetl import formatting
from ftetl.html_report import jobs_table, quality_sections, spend_sections
from ftetl.html_report.components import card, lasting, number, scrolled, section, usd
from ftetl.html_report.headline import Headline, headline
from ftetl.html_report.markup import Markup, join, raw, tag
from ftetl.snapshot.multi_project import Snapshots
from ftetl.snapshot.snapshot import Snapshot

_TITLE: Final = "Fine-tuning report"
_LINKS: Final = {
    "time": "Spend over time", "models": "Models", "users": "Users", "projects": "Projects", "prices": "Prices",
    "durations": "Durations", "failures": "Failures", "quality": "Data quality", "jobs": "All jobs",
}  # fmt: skip


@dataclass(frozen=True)
class Page:
    """The page's text, and the figures that stand first in it."""

    html: str
    headline: Headline


def made(snapshot: Snapshot | Snapshots) -> Page:
    """The page of a snapshot, of one project or several.

    Raises:
        StorageError: A table cannot be read, or is damaged.
    """
    several = isinstance(snapshot, Snapshots)
    found = headline(snapshot)
    style, script = (
        files("ftetl.html_report").joinpath(name).read_text("utf-8") for name in ("style.css", "script.js")
    )
    body = tag(
        "body",
        tag("a", "To the figures", class_="skip", href="#main"),
        _header(snapshot, found, several=several),
        tag("main", _headline(found), *_sections(snapshot, several=several), id="main"),
        tag(
            "footer",
            tag("p", "Made by ftetl from the tables of this snapshot; the same snapshot gives this page again."),
        ),
        raw("script", script),
    )
    page = tag("html", _head(style, script), body, lang="en")
    return Page(f"<!DOCTYPE html>\n{page}\n", found)


def _head(style: str, script: str) -> Markup:
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="robots", content="noindex"),
        tag("title", _TITLE),
        raw("style", style),
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _header(snapshot: Snapshot | Snapshots, found: Headline, *, several: bool) -> Markup:
    parts = snapshot.snapshots if isinstance(snapshot, Snapshots) else (snapshot,)
    sources = [f"Project {p.project}: version {p.version}, committed {_short(p.committed_at)} UTC." for p in parts]
    span = (
        f"Jobs created from {formatting.format_minute(found.first)[:10]} to {formatting.format_minute(found.last)[:10]}"
    )
    seen = f"last change observed {formatting.format_minute(found.observed)}" if found.observed is not None else ""
    about = "; ".join(filter(None, (span if found.first is not None else "", seen)))
    kept = [name for name in _LINKS if several or name != "projects"]
    links = [tag("li", tag("a", _LINKS[name], href=f"#{name}")) for name in kept]
    return tag(
        "header",
        tag("h1", _TITLE),
        tag("p", " ".join(sources), *([f" {about}."] if about else []), " All times are UTC.", class_="quiet"),
        tag("nav", tag("ul", *links), aria_label="Sections"),
    )


def _short(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _headline(found: Headline) -> Markup:
    ended = f"{found.completed:,} completed, {found.failed:,} failed, {found.cancelled:,} cancelled"
    rate = tag(
        "data", formatting.format_percent(found.success_rate), value=found.success_rate, data_figure="success_rate"
    )
    cards = (
        card("Net spend", usd(found.net_usd, "net_usd"), join(usd(found.charged_usd, "charged_usd"), " charged, ",
             usd(found.refunded_usd, "refunded_usd"), " refunded")),
        card("Jobs", number(found.jobs, "jobs"), ended, f"{found.unfinished:,} not finished"),
        card("Success rate", rate, "of jobs that completed or failed"),
        card("Billed tokens", tag("data", formatting.rounded_count(found.tokens), value=found.tokens,
             data_figure="tokens"), f"{found.tokens:,} in {formatting.pluralize(found.charged_jobs, 'charged job')}"),
        card("Price per million tokens", usd(found.usd_per_million_tokens, "usd_per_million_tokens"), "before refunds"),
        card("Median duration", lasting(found.median_seconds, "median_seconds"), "from creation to the end"),
        card("Spent without a result", usd(found.lost_usd, "lost_usd"), "net, on jobs that failed or were cancelled"),
        card("Restarts", number(found.restarts, "restarts"), "by the service"),
    )  # fmt: skip
    notes = list(_notes(found))
    told = tag("div", tag("h3", "How to read these figures"), tag("ul", *(tag("li", n) for n in notes)), class_="notes")
    empty = [] if found.jobs else [tag("p", "This snapshot has no jobs yet.")]
    parts = (*empty, tag("dl", *cards, class_="cards"), *([told] if notes else []))
    return tag("section", tag("h2", "At a glance", id="glance"), *parts, class_="plain", aria_labelledby="glance")


def _notes(found: Headline) -> Iterator[str]:
    """What changes a figure and cannot be seen from it."""
    if found.unpriced_jobs:
        jobs = formatting.pluralize(found.unpriced_jobs, "job")
        yield f"{jobs} without a price: counted as nothing, since 0 means not priced yet as well as free."
    if found.refund_unknown_jobs:
        jobs = formatting.pluralize(found.refund_unknown_jobs, "charged job")
        yield f"Of {jobs} the refund is not known, since the job's detail was not read; the net spend may be lower."
    if found.refunded_usd:
        yield "The API does not say whether a price is already less its refund; here the refund is taken off."
    if found.untimed_jobs:
        yield f"{formatting.pluralize(found.untimed_jobs, 'job')} without a time are in the sums, and in no month."
    if found.eventless_jobs:
        jobs = formatting.pluralize(found.eventless_jobs, "job")
        yield f"Of {jobs} no events are known: their durations and reasons of failure are missing."
    if found.gone_jobs:
        yield f"{formatting.pluralize(found.gone_jobs, 'job')} no longer listed by the API are counted all the same."


def _sections(snapshot: Snapshot | Snapshots, *, several: bool) -> Iterator[Markup]:
    yield spend_sections.over_time(snapshot)
    yield spend_sections.by_name(snapshot, "model", "models", "model")
    yield spend_sections.by_name(snapshot, "user_id", "users", "user")
    if several:
        yield spend_sections.by_name(snapshot, "project", "projects", "project")
    yield spend_sections.prices(snapshot)
    yield quality_sections.durations(snapshot)
    yield quality_sections.outcomes(snapshot)
    yield quality_sections.quality(snapshot)
    yield _jobs(snapshot, several=several)


def _jobs(snapshot: Snapshot | Snapshots, *, several: bool) -> Markup:
    columns = jobs_table.columns(snapshot, projects=several)
    rows = len(columns[0].cells)
    if not rows:
        return section("jobs", "All jobs", tag("p", "There are no jobs."))
    shown = (
        f"The newest {jobs_table.STATIC} of {rows:,} jobs"
        if rows > jobs_table.STATIC
        else f"{formatting.pluralize(rows, 'job')}"
    )
    search = tag("label", "Search in all texts", tag("input", type="search", id="jobs-search", autocomplete="off"))
    state = tag("label", "Status", tag("select", tag("option", "all", value=""), id="jobs-state"))
    turns = {"first": "First", "back": "Previous", "next": "Next", "last": "Last"}
    buttons = [tag("button", name, type="button", id=f"jobs-{key}") for key, name in turns.items()]
    pages = tag(
        "div", *buttons, tag("span", id="jobs-page", class_="quiet"), class_="tools", id="jobs-pages", hidden=True
    )
    return section(
        "jobs",
        "All jobs",
        tag("div", search, state, class_="tools", id="jobs-tools", hidden=True),
        tag("p", shown, id="jobs-status", role="status", class_="quiet"),
        scrolled("All jobs", jobs_table.table(columns)),
        pages,
        tag("noscript", tag("p", f"Without scripts this shows the newest {jobs_table.STATIC} jobs only.")),
        jobs_table.document(columns),
    )
