"""`ftetl doctor`: prints what would make an export fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ftetl.cli import options
from ftetl.cli.output import Output, last_line
from ftetl.config.settings import Settings
from ftetl.errors import EXITS
from ftetl.formatting import pluralize


@click.command
@options.target_folder
@options.connection
@options.project
@options.pii
@options.with_output
def doctor(output: Output, target: Path, **settings: Any) -> int:
    """Print what would make an export into TARGET fail, and how to fix it.

    Checks the key, the address, one response of the API, the clock, the folder and its disk. Changes nothing.
    """
    from ftetl.pipeline.doctor import run_checks

    findings = run_checks(Settings.from_options(target, "api", settings))
    exit_status, error_code = next(((f.exit, f.code) for f in findings if f.exit), (EXITS["OK"], None))
    exit_fields = {"exit_code": exit_status.code, "exit": exit_status.name, "code": error_code}
    output.json_result({"findings": [f.as_dict() for f in findings], **exit_fields})
    for finding in findings:
        advice = f"; {finding.next}" if finding.next else ""
        output.result(f"{finding.state:<8} {finding.name}: {finding.what}{advice}")
    failures = sum(f.state == "failure" for f in findings)
    warnings = pluralize(sum(f.state == "warning" for f in findings), "warning")
    message = f"an export can run: {pluralize(len(findings), 'check')}"
    if failures:
        message = f"an export would fail: {pluralize(failures, 'failure')}"
    last_line(output, exit_status, f"{target}: {message}, {warnings}", error_code)
    return exit_status.code
