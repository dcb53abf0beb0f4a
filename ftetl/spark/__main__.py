"""`python -m ftetl.spark ARCHIVES OUT`, which `spark-submit` can run as a file too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from ftetl.cli import exit_handling, options
from ftetl.cli.output import Output, last_line
from ftetl.config.settings import PROJECT
from ftetl.errors import EXITS, UsageError
from ftetl.formatting import pluralize
from ftetl.spark.saved_files import find_files, find_projects
from ftetl.spark.session import spark_session


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("archives", type=click.Path(path_type=Path))
@click.argument("out")
@click.option("--by-project", is_flag=True, help="Each folder in ARCHIVES is a project; OUT has folders project=LABEL.")
@click.option("--project", metavar="NAME", help="The label of the project, where there is one.")
@click.option(
    "--observed-at", metavar="TIME", help="When the responses were received; else a file's modification time."
)
@click.option("--skip-broken", is_flag=True, help="Leave out files that cannot be read as responses: exit 3.")
@options.allow_drift
@click.option("--max-bytes", type=int, metavar="N", help="Largest compressed file, in bytes when decompressed.")
@click.option("--carry-bytes", is_flag=True, help="Read each file once, from start to end: for files in object stores.")
@options.with_output
def spark(output: Output, archives: Path, out: str, *, by_project: bool, carry_bytes: bool, **settings: Any) -> int:
    """All tables of the saved responses in ARCHIVES, as Parquet in the new folder OUT, made by a Spark cluster.

    ARCHIVES is a file or folder as `ftetl export --from` takes it, which every machine sees under the same path. OUT
    is a path or address that Spark can write to. Without spark-submit Spark runs in this machine's cores.
    """
    if by_project and settings["project"]:
        raise UsageError("P02", "--project and --by-project are both given", next="leave one of them out")
    paths = find_projects(archives) if by_project else archives
    find_files(paths, settings["project"] or PROJECT)  # what is wrong with them is said before Java starts
    given = {name: value for name, value in settings.items() if value is not None}
    with spark_session() as session:
        from ftetl.spark import tables, write

        with tables(session, paths, carry_bytes=carry_bytes, **given) as made:
            write(made, out, by_project=by_project)
            rows, skipped = dict(made.rows), made.skipped
    is_partial = bool(rows["quarantine"] or skipped)
    end = EXITS["PARTIAL" if is_partial else "OK"]
    for what in skipped:
        output.info(f"warning: left out: {what}")
    for name, count in rows.items():
        output.result(f"{name}: {pluralize(count, 'row')}")
    output.json_result({"out": out, "rows": rows, "skipped": list(skipped), "exit_code": end.code, "exit": end.name})
    put_aside = f", {pluralize(rows['quarantine'], 'element')} in quarantine" if rows["quarantine"] else ""
    last_line(output, end, f"{out}: {pluralize(rows['jobs'], 'job')}{put_aside}")
    return end.code


def main() -> NoReturn:
    """Run the command, and exit with its code."""
    exit_handling.install_signal_handlers()
    state = exit_handling.CommandState()
    try:
        exit_code = spark.main(prog_name="python -m ftetl.spark", standalone_mode=False, obj=state) or 0
    except BaseException as error:  # noqa: BLE001 - every end is one line and the right code, never a traceback
        exit_handling.ignore_signals()
        exit_code = exit_handling.exit_code_for(error, state)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
