"""Keeps pandera from importing pandas on Spark, which it does wherever pyspark is installed.

It takes a fifth of a second, warns of pandas 3, and pandera sets `SPARK_LOCAL_IP` for it: a driver that is started
later in this process would listen where no executor can reach it (pandera 0.35, `external_config.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_MODULE = "pyspark.pandas"
_VARIABLES = ("SPARK_LOCAL_IP", "PYARROW_IGNORE_TIMEZONE")


@contextmanager
def without_spark() -> Iterator[None]:
    """Inside, `import pyspark.pandas` fails unless it was imported before; pandera's variables are unset at the end."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    is_blocked = sys.modules.setdefault(_MODULE, None) is None  # type: ignore[arg-type]
    try:
        yield
    finally:
        if is_blocked:
            sys.modules.pop(_MODULE, None)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
