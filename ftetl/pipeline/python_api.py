"""`ftetl.export`: a run from Python, with every setting as a keyword of its own, which editors and notebooks list."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ftetl.config import limits
from ftetl.config.settings import FILE_MODE, KEEP, LOCK_TIMEOUT, SOURCE, Environ, Settings
from ftetl.pipeline.active_run import ActiveRun
from ftetl.pipeline.export import run_export
from ftetl.run_report import Report


def export(  # noqa: PLR0913 - an editor completes what is in the signature
    target: str | Path,
    *,
    source: str | Path = SOURCE,
    formats: str | Iterable[str] = (),
    events: Literal["auto", "list", "none"] = "auto",
    files: Literal["auto", "none"] = "auto",
    billing: Literal["auto", "none"] = "none",
    metrics: Literal["none", "auto"] = "none",
    project: str | None = None,
    billing_account: str | None = None,
    billing_account_name: str | None = None,
    api_key_file: str | Path | None = None,
    base_url: str | None = None,
    concurrency: int = limits.CONCURRENCY,
    deadline: float = limits.DEADLINE,
    max_bytes: int = limits.MAX_BYTES,
    quarantine: Literal["keep", "ok", "fail"] = "keep",
    pii: Literal["keep", "hash", "drop"] = "keep",
    pii_key_file: str | Path | None = None,
    whole: bool = False,
    skip_broken: bool = False,
    allow_shrink: bool = False,
    allow_account_change: bool = False,
    allow_drift: bool = False,
    observed_at: datetime | str | None = None,
    csv_raw: bool = False,
    file_mode: int = FILE_MODE,
    keep: int = KEEP,
    lock_timeout: float = LOCK_TIMEOUT,
    metrics_file: str | Path | None = None,
    publish: str | Path | None = None,
    load: str | None = None,
    environ: Mapping[str, str] | None = None,
    **unknown: Any,
) -> Report:
    """Export all fine-tuning jobs into a target folder; what was done comes back as a `Report`.

    The settings are the options of `ftetl export`, and have its defaults. The key comes from `TOGETHER_API_KEY` or
    `api_key_file`, never from an argument.

    Args:
        target: The folder; it is made if it is missing, and a later run merges into it.
        source: `api`, `demo`, a saved response, a folder of them, or `-` for stdin.
        formats: `"csv"`, or `("parquet", "csv")`: the option `--format`. Parquet is always written. Without it those of
            the target's newest version are written, into a new target Parquet alone; `"parquet"` ends the others.
        events: `auto` fetches the details of jobs without events, `list` takes only the list's events, `none` none.
        files: `auto` also asks for the project's files, one request a run; `none` does not.
        billing: `auto` also asks for the bill of the key's whole organisation, by month; `none` does not.
        metrics: `auto` also asks for the training metrics of each job, of a finished one once; `none` does not.
        project: A label for the key's project; the `project` column of every table. Without it a new target takes the
            project's slug where the API tells it, else `default`, and later runs take the target's.
        billing_account: The vendor's id of your organisation, for `focus_costs`; else the one that the API told when
            the target was made, else the project's label.
        billing_account_name: The billing account's name, for the same table; else the one that the API told then.
        api_key_file: A file that holds the key, instead of `TOGETHER_API_KEY`.
        base_url: The API's address, with or without `/v1`; else `TOGETHER_BASE_URL` or the vendor's.
        concurrency: Parallel requests for details.
        deadline: Seconds for the network; if the list has arrived, the details received so far are committed.
        max_bytes: The largest response or compressed file, in bytes when decompressed.
        quarantine: What new quarantine means: `keep` makes the run partial, `ok` does not, `fail` commits nothing.
        pii: Personal data in all that is stored: as it is, as pseudonyms (`hash`), or not at all (`drop`).
        pii_key_file: The key of the pseudonyms.
        whole: The array, or the file of lines, is the whole list: known jobs that are not in it are gone.
        skip_broken: Leave out files of a folder that cannot be read as responses, which makes the run partial.
        allow_shrink: Jobs that the list lacks are really gone: accept one that is empty, much shorter, or like a page.
        allow_account_change: Accept a list that shares no job with the known ones.
        allow_drift: Accept values that are unreadable or missing in many jobs; prices and statuses keep the last known.
        observed_at: When the response was received; else now, or the file's modification time. UTC without a zone.
        csv_raw: CSV text exactly as it is, without the guard against formulas in spreadsheets.
        file_mode: Permissions of the files, such as `0o640`; folders follow.
        keep: The number of newest snapshots to keep, at least 2.
        lock_timeout: Seconds to wait for another run on the same target.
        metrics_file: Prometheus metrics of the run are written here, also when it fails.
        publish: A folder in which real files are replaced too, for readers that do not follow links.
        load: The address of a destination, such as `duckdb:FILE`, into which the newest version is loaded as
            `ftetl.load` does. A load that fails makes the run partial.
        environ: The environment to read the key and the address from; else this process's.
        unknown: No other setting exists; an unknown one is refused, with the name that was probably meant.

    Raises:
        FtetlError: Nothing was committed, unless its code is `FTETL-O05`: then that is unknown. `ftetl.errors` has the
            classes. A run that is only partial does not raise.
    """
    environ = Environ(os.environ if environ is None else environ)  # not to be shown with this frame
    options = dict(locals())
    del options["target"], options["source"], options["unknown"]
    return run_export(ActiveRun(Settings.from_options(target, source, {**options, **unknown})))
