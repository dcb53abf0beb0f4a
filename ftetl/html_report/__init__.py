"""One self-contained HTML page about a snapshot, for people who open a file.

    from ftetl import page
    page.write(Path("ftetl-report.html"), page.made(ftetl.open("exports/")), 0o600)

The same snapshot gives the same bytes. Nothing in the page leads outside: its style and script are in it, and its
content security policy allows these two, by their hashes, and nothing else. Text from the API is escaped.
"""

from ftetl.html_report.document import Page, made
from ftetl.store.atomic_write import write

__all__ = ["Page", "made", "write"]
