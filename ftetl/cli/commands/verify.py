"""`ftetl verify`: prints the damage in the newest snapshot."""

from __future__ import annotations

import click

from ftetl.cli import options
from ftetl.cli.output import Output, last_line
from ftetl.errors import EXITS
from ftetl.formatting import pluralize


@click.command
@options.target
@options.with_output
def verify(output: Output, target: options.TargetName) -> int:
    """Check every checksum, row count, key and reference of the newest snapshot of TARGET, offline."""
    from ftetl.validate.verify import verify_snapshot

    result = verify_snapshot(target)
    exit_status = EXITS["OK" if result.is_intact else "IOERR"]
    exit_fields = {"exit_code": exit_status.code, "exit": exit_status.name, "code": result.code}
    output.json_result({**result.as_dict(), **exit_fields})
    for line in result.damage:
        output.result(f"damaged: {line}")
    for line in result.notes:
        output.info(f"note: {line}")
    counts = f"{pluralize(result.files, 'file')}, {pluralize(sum(result.rows.values()), 'row')}"
    message = f"no damage found in version {result.version}: {counts}"
    if not result.is_intact:
        advice = "restore what is named, or export again into an empty folder"
        message = f"{pluralize(len(result.damage), 'problem')} found; {advice}"
    last_line(output, exit_status, f"{target}: {message}", result.code)
    return exit_status.code
