"""What `jobs` says of a job's files, from the table `files`, which still has a file that was deleted later."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema

# By column of `jobs`: the column with the file, and the column of `files`.
COLUMNS = {
    "training_file_name": ("training_file", "filename"),
    "training_file_bytes": ("training_file", "bytes"),
    "training_file_lines": ("training_file", "lines"),
    "validation_file_name": ("validation_file", "filename"),
}


class FileColumns:
    """Fills the columns in rows of `jobs` from the rows of `files`."""

    def __init__(self, files: pa.Table) -> None:
        self._ids = one(files.column("file_id"))
        self._columns = {name: files.column(name) for _, name in COLUMNS.values()}

    def fill(self, jobs: pa.Table) -> pa.Table:
        """The rows with the columns; NULL where the file is not known."""
        wanted = schema(tables()["jobs"])
        index = {key: pc.index_in(jobs.column(key), value_set=self._ids) for key, _ in COLUMNS.values()}
        for name, (key, of_file) in COLUMNS.items():
            at = wanted.get_field_index(name)
            jobs = jobs.set_column(at, wanted.field(name), pc.take(self._columns[of_file], index[key]))
        return jobs
