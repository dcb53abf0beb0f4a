"""The page in a real Chromium: nothing on its console, no requests, and what it shows is what the tables hold."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest
from PIL import Image

import ftetl
from ftetl import html_report
from ftetl.html_report import jobs_table
from tests.html_report.conftest import Node, read
from tests.html_report.test_document import PALETTES, hostile

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not CHROMEDRIVER:
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="drives the browser")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
ROWS = "return [...document.querySelectorAll('#jobs-table tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
WIDE, NARROW = 1280, 400


class Browser:
    """A Chromium of its own, its console messages and its requests since it opened a page."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))

    def open(self, file: Path, *, width: int = WIDE, dark: bool = False, scripts: bool = True) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.driver.get("about:blank")
        self.console(), self.requested()
        self.driver.get(file.as_uri())

    def call(self, command: str, **given: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, given)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def console(self) -> list[str]:
        """The messages on the console."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requested(self, *, forbidden: str = "") -> list[str]:
        """The addresses that the page requested, without those that were blocked for the reason `forbidden`."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        events = [(message["method"], message["params"]) for message in messages]
        failed = {p["requestId"]: p.get("blockedReason") for m, p in events if m == "Network.loadingFailed"}
        sent = [p for m, p in events if m == "Network.requestWillBeSent"]
        return [p["request"]["url"] for p in sent if not forbidden or failed.get(p["requestId"]) != forbidden]

    def type(self, text: str) -> None:
        field = self.driver.find_element("id", "jobs-search")
        field.clear()
        field.send_keys(text)

    def press(self, heading: str, key: str = "\ue007") -> None:
        """A key on the button of a column; Enter by default."""
        self.run(f"[...document.querySelectorAll('thead button')].find(b => b.textContent == {heading!r}).focus()")
        self.driver.switch_to.active_element.send_keys(key)

    def column(self, heading: str) -> list[str]:
        heads = self.run("return [...document.querySelectorAll('#jobs-table thead th')].map(h => h.textContent)")
        return [row[heads.index(heading)] for row in self.run(ROWS)]

    def text(self, name: str) -> str:
        return str(self.driver.find_element("id", name).text)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.driver.quit()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, demo_target: Path) -> Path:
    file = tmp_path_factory.mktemp("page") / "demo.html"
    html_report.write_text_atomically(file, html_report.build_page(ftetl.open(demo_target)).html, 0o600)
    return file


@pytest.fixture
def file(tmp_path: Path, snapshot: Any, job_record: Any) -> Callable[[str], Path]:
    """The page of hostile jobs, of none, or of one."""
    made = {"hostile": lambda: hostile(job_record), "empty": list, "one": lambda: [job_record("ft-1", total_price=5)]}

    def write(kind: str) -> Path:
        html_report.write_text_atomically(
            tmp_path / f"{kind}.html", html_report.build_page(snapshot(*made[kind]())).html, 0o600
        )
        return tmp_path / f"{kind}.html"

    return write


@pytest.mark.parametrize("kind", ["demo", "hostile", "empty", "one"])
def test_it_opens_without_console_messages_and_requests_nothing(
    browser: Browser, demo: Path, file: Callable[[str], Path], kind: str
) -> None:
    opened = demo if kind == "demo" else file(kind)
    for dark, width in ((False, WIDE), (True, NARROW)):
        browser.open(opened, dark=dark, width=width)

        assert browser.requested() == [opened.as_uri()]
        assert browser.console() == []
        assert browser.run("return document.documentElement.scrollWidth") <= width, "only tables may be wider"
        paper = PALETTES[dark]["page"]
        colour = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert colour == f"rgb({', '.join(str(int(paper[n : n + 2], 16)) for n in (1, 3, 5))})"


EDGES = """
const frame = document.querySelectorAll('.scroll')[arguments[0]];
frame.closest('details')?.setAttribute('open', '');
frame.scrollIntoView({block: 'start', behavior: 'instant'});
frame.scrollLeft = arguments[1] ? frame.scrollWidth : 0;
const box = frame.getBoundingClientRect();
return [frame.scrollWidth > frame.clientWidth, box.left, box.right, box.top, Math.min(box.bottom, innerHeight)]
"""


def luminance(colour: Sequence[int]) -> float:
    return sum(colour[:3]) / 3


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_table_that_is_cut_shows_on_which_side_there_is_more(
    browser: Browser, demo: Path, dark: bool, width: int
) -> None:
    browser.open(demo, dark=dark, width=width)
    hex_card = PALETTES[dark]["card"]
    card = luminance([int(hex_card[n : n + 2], 16) for n in (1, 3, 5)])
    cut = 0
    for number in range(browser.run("return document.querySelectorAll('.scroll').length")):
        for at_the_end in (False, True):
            is_cut, left, right, top, bottom = browser.driver.execute_script(EDGES, number, at_the_end)
            picture = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png()))
            # The median of a line of pixels is the background: text and lines of the table cover few of them.
            shaded = [
                abs(median(luminance(picture.getpixel((x, y))) for y in range(int(top) + 2, int(bottom) - 2)) - card)
                > 20
                for x in (int(left) + 1, int(right) - 2)
            ]
            assert shaded == [is_cut and at_the_end, is_cut and not at_the_end], number
            cut += is_cut

    assert cut or width == WIDE


def test_the_policy_blocks_foreign_scripts_images_and_styles(browser: Browser, demo: Path, tmp_path: Path) -> None:
    intruder = '<script>document.title = "taken"</script><img src="https://evil.example/x"><p style="color: red">'
    (tmp_path / "taken.html").write_text(demo.read_text("utf-8").replace("<main", f"{intruder}<main", 1), "utf-8")
    browser.open(tmp_path / "taken.html")

    assert browser.run("return document.title") == "Fine-tuning report"
    assert len([line for line in browser.console() if "Content Security Policy" in line]) == 3
    assert browser.requested(forbidden="csp") == [(tmp_path / "taken.html").as_uri()]


def test_the_script_writes_the_rows_that_the_page_holds_without_it(browser: Browser, demo: Path) -> None:
    (table,) = [t for t in read(demo.read_text("utf-8")).all("table") if t.attributes.get("id") == "jobs-table"]
    static = table.rows()[1:]
    titles = [[cell.attributes.get("title") or "" for cell in row.all("th", "td")] for row in table.all("tr")[1:]]
    shown = "return [...document.querySelectorAll('#jobs-table tbody tr')].map(r => [...r.cells].map(c => c.title))"
    browser.open(demo)

    assert browser.run(ROWS) == static[:50]
    assert browser.run(shown) == titles[:50]
    browser.run("document.getElementById('jobs-next').click()")
    assert browser.run(ROWS) == static[50:100]
    assert browser.text("jobs-status") == "51 to 100 of 360 jobs"


def test_without_scripts_the_newest_jobs_are_there(browser: Browser, demo: Path) -> None:
    browser.open(demo, scripts=False)
    root: Node = read(demo.read_text("utf-8"))
    try:
        assert len(browser.driver.find_elements("css selector", "#jobs-table tbody tr")) == jobs_table.STATIC_ROWS
        assert not browser.driver.find_element("id", "jobs-tools").is_displayed()
        assert browser.text("jobs-status") == "The newest 100 of 360 jobs"
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert root.all("noscript")


def test_the_figures_are_those_of_the_tables(browser: Browser, demo: Path, demo_target: Path) -> None:
    ((count, usd),) = duckdb.sql(f"""
        SELECT count(*), sum(total_price_usd) - sum(coalesce(refund_amount_usd, 0))
        FROM '{demo_target}/current/jobs.parquet'""").fetchall()
    browser.open(demo)
    shown = {
        name: browser.driver.find_element("css selector", f"[data-figure={name}]").text for name in ("jobs", "net_usd")
    }

    assert shown == {"jobs": f"{count:,}", "net_usd": f"${usd:,.2f}"}


@pytest.mark.parametrize("words", ["gpt-oss", "GPT-OSS error", "nothing of the kind", "ft-1"])
def test_search_finds_the_jobs_with_all_words(browser: Browser, demo: Path, demo_target: Path, words: str) -> None:
    texts = "concat_ws(chr(10), job_id, status, model, user_id, suffix, failure_reason)"
    where = " AND ".join(f"contains(lower({texts}), lower('{word}'))" for word in words.split())
    rows = duckdb.sql(f"""
        SELECT job_id FROM '{demo_target}/current/jobs.parquet' WHERE {where}
        ORDER BY created_at DESC, job_id""").fetchall()
    browser.open(demo)
    browser.type(words)

    assert browser.column("Job") == [job_id for (job_id,) in rows[:50]]
    summary = browser.text("jobs-status")
    assert summary.endswith(f"{len(rows)} jobs, of 360 in all" if rows else "No jobs, of 360 in all")


def test_a_status_can_be_chosen(browser: Browser, demo: Path) -> None:
    browser.open(demo)
    browser.run(
        "const s = document.getElementById('jobs-state');"
        "s.value = [...s.options].find(o => o.text == 'cancelled').value; s.dispatchEvent(new Event('change'))"
    )
    assert {*browser.column("Status")} == {"cancelled"}
    assert browser.text("jobs-status") == "1 to 15 of 15 jobs, of 360 in all"


@pytest.mark.parametrize(
    ("heading", "by", "first"),
    [
        ("Charged", "nullif(total_price_nanousd, 0)", "DESC"),
        ("Tokens", "token_count", "DESC"),
        ("Took", "duration_seconds", "DESC"),
        ("Model", "model", "ASC"),
        ("Created (UTC)", "created_at", "DESC"),
    ],
)
def test_enter_on_a_heading_sorts_by_it(
    browser: Browser, demo: Path, demo_target: Path, heading: str, by: str, first: str
) -> None:
    browser.open(demo)
    ways = {"DESC": "descending", "ASC": "ascending"}
    # Equal ones keep the order that they had: newest first, and then that of the first sorting.
    before = "created_at DESC, job_id"
    for way in (first, "ASC" if first == "DESC" else "DESC"):
        browser.press(heading)
        rows = duckdb.sql(f"""
            SELECT job_id FROM '{demo_target}/current/jobs.parquet'
            ORDER BY {by} COLLATE NOCASE {way} NULLS LAST, {before}""".replace(
            "COLLATE NOCASE", "COLLATE NOCASE" if by == "model" else ""
        )).fetchall()  # fmt: skip
        assert browser.column("Job") == [job_id for (job_id,) in rows[:50]]
        marks = browser.run(
            "return [...document.querySelectorAll('[aria-sort]')].map(h => [h.textContent, h.ariaSort])"
        )
        assert marks == [[heading, ways[way]]]


def test_print_opens_all_details_and_shows_static_rows(browser: Browser, demo: Path) -> None:
    browser.open(demo)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert len(browser.run(ROWS)) == jobs_table.STATIC_ROWS
    assert browser.run("return document.querySelectorAll('details:not([open])').length") == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert len(browser.run(ROWS)) == 50
    assert browser.run("return document.querySelectorAll('details[open]').length") == 0

    pdf = base64.b64decode(browser.call("Page.printToPDF", printBackground=False)["data"])
    assert pdf.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20


def test_amounts_beyond_a_float_are_exact(browser: Browser, snapshot: Any, job_record: Any, tmp_path: Path) -> None:
    made = [job_record(f"ft-{n}", total_price=10**16 + n, token_count=10**16 + n) for n in range(3)]
    html_report.write_text_atomically(tmp_path / "a.html", html_report.build_page(snapshot(*made)).html, 0o600)
    browser.open(tmp_path / "a.html")
    browser.press("Charged", " ")

    assert browser.column("Job") == ["ft-2", "ft-1", "ft-0"]
    browser.press("Tokens")
    browser.press("Tokens")
    assert browser.column("Tokens") == [f"{10**16 + n:,}" for n in range(3)]
    titles = browser.run("return [...document.querySelectorAll('td.n[title]')].map(c => c.title)")
    assert titles == [f"$10000000.{f'{n:09}'.rstrip('0')}" if n else "$10000000" for n in range(3)]
