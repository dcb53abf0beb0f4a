"""`ftetl anomalies`: counts the anomalies."""

from __future__ import annotations

import click

from ftetl.cli import options
from ftetl.cli.output import Output
from ftetl.formatting import pluralize


@click.command
@options.target
@options.with_output
def anomalies(output: Output, target: options.TargetName) -> None:
    """Show the anomalies of TARGET, counted by kind and path, with one job of each; --json gives all of them."""
    from ftetl.snapshot.snapshot import open as open_snapshot

    rows = open_snapshot(target).arrow("anomalies").to_pylist()
    groups: dict[tuple[str, str], list[str | None]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["path"]), []).append(row["job_id"])
    counts = [
        {"kind": kind, "path": path, "rows": len(jobs), "example_job_id": jobs[0]}
        for (kind, path), jobs in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    ]
    output.json_result({"total": len(rows), "by_kind_and_path": counts, "rows": rows})
    for each in counts:
        output.result(f"{each['rows']:>8}  {each['kind']}  {each['path']}  such as {each['example_job_id']}")
    output.result(f"{len(rows):>8}  in total")
    if rows and not output.as_json:
        where = f"`ftetl show {target} anomalies --columns all`"
        output.hint(f"What each kind means: `ftetl schema anomalies`; {pluralize(len(rows), 'row')}: {where}")
