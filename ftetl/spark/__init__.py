"""The tables of saved responses as Spark DataFrames, for more of them than one machine can take.

    import ftetl.spark
    tables = ftetl.spark.tables(spark, "/archives/acme")
    tables["jobs"].show()

`python -m ftetl.spark ARCHIVES OUT` writes them as Parquet. Needs pyspark, which a cluster brings along; else it comes
with `pip install 'ftetl[spark]'`. Spark is imported by this package only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftetl.spark.make_tables import SparkTables, tables
    from ftetl.spark.write_tables import write

__all__ = ["SparkTables", "tables", "write"]

_MODULES = {"SparkTables": "make_tables", "tables": "make_tables", "write": "write_tables"}


def __getattr__(name: str) -> Any:
    # Not before it is needed: without pyspark the command has to say so in one line.
    if name in _MODULES:
        return getattr(import_module(f"ftetl.spark.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'ftetl.spark' has no attribute {name!r}")
