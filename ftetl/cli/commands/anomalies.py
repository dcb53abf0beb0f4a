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

    snapshot = open_snapshot(target)
    rows = snapshot.arrow("anomalies").to_pylist()
    of_endpoints = snapshot.arrow("endpoint_anomalies").to_pylist()
    groups: dict[tuple[str, str], list[str | None]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["path"]), []).append(row["job_id"])
    counts = [
        {"kind": kind, "path": path, "rows": len(jobs), "example_job_id": jobs[0]}
        for (kind, path), jobs in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    ]
    output.json_result({"total": len(rows), "by_kind_and_path": counts, "rows": rows, "endpoint_rows": of_endpoints})
    for each in counts:
        output.result(f"{each['rows']:>8}  {each['kind']}  {each['path']}  such as {each['example_job_id']}")
    output.result(f"{len(rows):>8}  in total")
    if of_endpoints:
        where = f"`ftetl show {target} endpoint_anomalies --columns all`"
        output.result(f"{len(of_endpoints):>8}  of files, the bill and training metrics: {where}")
    if rows and not output.as_json:
        where = f"`ftetl show {target} anomalies --columns all`"
        output.hint(f"What each kind means: `ftetl schema anomalies`; {pluralize(len(rows), 'row')}: {where}")
