"""One self-contained HTML page about a snapshot, for people who open a file.

    from ftetl import html_report
    page = html_report.made(ftetl.open("exports/"))
    html_report.write_text_atomically(Path("ftetl-report.html"), page.html, 0o600)

The same snapshot gives the same bytes. Nothing in the page leads outside: its style and script are in it, and its
content security policy allows these two, by their hashes, and nothing else. Text from the API is escaped.
"""

from ftetl.html_report.document import Page, made
from ftetl.store.atomic_write import write_text_atomically

__all__ = ["Page", "made", "write_text_atomically"]
