"""One self-contained HTML page about a snapshot.

    from ftetl import html_report
    page = html_report.build_page(ftetl.open("exports/"))
    html_report.write_text_atomically(Path("ftetl-report.html"), page.html, 0o600)

The same snapshot gives the same bytes. The page loads nothing: its style and script are inside, and its content
security policy allows these two, by their hashes, and nothing else. Text from the API is escaped.
"""

from ftetl.html_report.document import Page, build_page
from ftetl.store.atomic_write import write_text_atomically

__all__ = ["Page", "build_page", "write_text_atomically"]
