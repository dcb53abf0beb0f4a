"""The Spark session of the command; what Spark says of a failure becomes one line."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ftetl.errors import ConfigError, SoftwareError, TargetError, UnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOG = "its log says why, above or on the executors"


@contextmanager
def spark_session() -> Iterator[SparkSession]:
    """A session with UTC as its time zone, which is stopped at the end.

    Raises:
        ConfigError: pyspark or Java is missing, or Spark does not start.
        SoftwareError: A task failed in ftetl.
        TargetError: Java refuses the output folder.
        UnavailableError: Spark could not finish the work.
    """
    # What Spark does with pandas is not used here.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    try:
        from py4j.protocol import Py4JError, Py4JJavaError
        from pyspark.errors import PySparkException, PythonException
        from pyspark.sql import SparkSession
    except ImportError:
        advice = "pip install 'ftetl[spark]', or run it with spark-submit"
        raise ConfigError("J01", "pyspark is not installed", next=advice) from None
    builder = SparkSession.builder.appName("ftetl").config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        session = builder.getOrCreate()
    except (PySparkException, Py4JError, RuntimeError, OSError) as error:
        advice = f"Java 17 or later is needed, and a master that can be reached; {_LOG}"
        raise ConfigError("J02", f"Spark does not start ({type(error).__name__})", next=advice) from None
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # it writes a traceback for whatever a signal interrupts
    warnings.filterwarnings("ignore", message="Unable to cleanly shutdown Spark")
    with suppress(ValueError):  # outside of the main thread
        signal.signal(signal.SIGINT, on_interrupt)  # Spark's own asks Java, which the same signal has ended
    try:
        yield session
    except PythonException as error:
        if "No module named 'ftetl" in str(error):
            what = "a machine of the cluster has no ftetl for Spark's Python"
            raise ConfigError("J01", what, next="install it on every machine, or send an environment along") from None
        raise SoftwareError("B01", "a task of Spark failed in Python", next=f"please report this; {_LOG}") from None
    except Py4JJavaError as error:
        what = f"Spark cannot use the folder ({error.java_exception.getClass().getSimpleName()})"
        raise TargetError("J03", what, next="check the address and its permissions") from None
    except (PySparkException, Py4JError) as error:
        what = f"Spark did not finish the work ({type(error).__name__})"
        raise UnavailableError("J04", what, next=_LOG) from None
    finally:
        with suppress(Py4JError, OSError):  # a signal to all processes has ended Java as well
            session.stop()
