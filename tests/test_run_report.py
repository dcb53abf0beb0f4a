"""A report shows itself in one line, and as a small table in a notebook."""

from __future__ import annotations

import pytest

from ftetl.run_report import Report

KNOWN = {"target": "t<1>", "source": "api", "project": "p", "run_id": "r", "version": 3}
REPORTS = [
    (
        Report(**KNOWN, changed=True, rows={}, new=1200, vanished=1),
        "OK (0): t<1>, version 3: 1,200 new, 0 changed, 1 gone",
    ),
    (Report(**KNOWN, changed=False, rows={}), "OK (0): t<1>, version 3: nothing changed"),
    (Report(**KNOWN, changed=False, rows={}, exit_code=77, message="no"), "NOPERM (77): t<1>, version 3: no"),
]


@pytest.mark.parametrize(("report", "text"), REPORTS)
def test_it_is_one_line(report: Report, text: str) -> None:
    assert repr(report) == f"<ftetl.Report {text}>"


def test_in_a_notebook_it_is_a_table_whose_texts_are_escaped() -> None:
    report = Report(**KNOWN, changed=True, rows={"jobs": 12_345, "events": 0}, warnings=("a <b> & c",))

    assert report._repr_html_() == (
        "<p>ftetl.Report OK (0): t&lt;1&gt;, version 3: 0 new, 0 changed, 0 gone</p>"
        "<table><thead><tr><th>table</th><th>rows</th></tr></thead>"
        "<tbody><tr><td>jobs</td><td>12,345</td></tr><tr><td>events</td><td>0</td></tr></tbody></table>"
        "<p>a &lt;b&gt; &amp; c</p>"
    )
