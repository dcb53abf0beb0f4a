"""`ftetl quarantine`: prints what is in quarantine."""

from __future__ import annotations

from collections import Counter

import click

from ftetl.cli import options
from ftetl.cli.output import Output


@click.command
@options.target
@options.with_output
def quarantine(output: Output, target: options.TargetName) -> None:
    """Show the quarantined elements of TARGET, counted by rule; --json gives their exact texts."""
    from ftetl.snapshot.snapshot import open as open_snapshot

    rows = open_snapshot(target).arrow("quarantine").to_pylist()
    for row in rows:
        row["first_seen_at"] = row["first_seen_at"].isoformat()
    by_rule = Counter(row["rule"] for row in rows)
    output.json_result({"total": len(rows), "by_rule": by_rule, "rows": rows})
    for rule, count in sorted(by_rule.items()):
        output.result(f"{count:>8}  {rule}")
    output.result(f"{len(rows):>8}  in total")
