"""dlt: the usual fifteen lines, tuned as its page on performance says.

    python dlt_pipeline.py INPUT.ndjson OUTDIR

`filesystem` and `read_jsonl` yield pages of jobs; dlt infers the schema, unpacks the events to a table of their own,
and its filesystem destination writes Parquet. Intermediary files are rotated, so that a process on each core
normalises. What comes out are several files a table; they are moved to the folders `jobs.parquet` and
`events.parquet`.

What it cannot do: types follow the values that come first. A column with true, then "auto" becomes two (`…__v_text`),
as does one with 1, then 0.5 (`…__v_double`), and which of them is the plain one depends on the order of the jobs. An
event has not its job's id, but a `_dlt_parent_id` that is random, so that a second run gives other bytes. A load of
several tables is not seen at once. It checks nothing that a contract would.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "5000",
    "SOURCES__DATA_WRITER__BUFFER_MAX_ITEMS": "5000",
    "NORMALIZE__WORKERS": str(os.cpu_count() or 1),
    "NORMALIZE__START_METHOD": "spawn",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}
os.environ.update(SETTINGS)  # before dlt is imported, here and in its worker processes


def main(file: Path, folder: Path) -> None:
    import dlt
    from dlt.sources.filesystem import filesystem, read_jsonl

    pipeline = dlt.pipeline(
        pipeline_name="fine_tunes",
        pipelines_dir=str(folder / "state"),
        dataset_name="out",
        destination=dlt.destinations.filesystem(bucket_url=folder.as_uri()),
    )
    found = filesystem(bucket_url=file.parent.as_uri(), file_glob=file.name)
    jobs = (found | read_jsonl(chunksize=1000)).with_name("jobs")
    pipeline.run(jobs, loader_file_format="parquet", write_disposition="replace").raise_on_failed_jobs()
    (folder / "out" / "jobs").rename(folder / "jobs.parquet")
    (folder / "out" / "jobs__events").rename(folder / "events.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
