"""The numbers that bound a run: seconds, bytes and counts.

Sizes of buffers that change nothing but the speed stand where they are used.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

# Defaults of command-line options.
DEADLINE: Final = 300.0  # of all requests of a run
MAX_BYTES: Final = 1 << 30  # of one response or one compressed file, decompressed
CONCURRENCY: Final = 8  # requests for details at once
MIN_KEPT: Final = 2  # snapshots: a reader may be opening the newest; the one before it is there if that is damaged

MAX_REQUESTS: Final = 6  # for the list, and for each detail
OPTIONAL_REQUESTS = 3  # for what every run asks for and can do without, so that it is not waited for long
SUSPECT_RETRIES: Final = 1  # after a complete response with a wrong body: a second one like it is final
FAILED_DETAILS: Final = 16  # if so many details fail and none has succeeded, no more are requested in this run
CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 30.0  # between two pieces of a response
MAX_BILLS: Final = 120  # months whose bills a run asks for at most, the newest: a job's date may be invalid
WHOAMI_DEADLINE: Final = 3.0  # of the question whose the key is, which a run can do without
DOCTOR_DEADLINE: Final = 30.0  # of the request that `ftetl doctor` makes

CHUNK: Final = 1 << 16  # read from a socket or a file at once
ERROR_BODY: Final = 1 << 16  # read of an error body
ERROR_BODY_WAIT: Final = 5.0
DRIFT_JOBS: Final = 5  # fewer jobs with an unreadable or missing value are no drift of the API
UNREADABLE_SHARE: Final = 0.2  # of the jobs that had a value, or on a first run of all jobs
CHANGED_MONEY_SHARE: Final = 0.2  # of the finished jobs that had a price before, with another one now
MISSING_SHARE: Final = 0.5  # of the compared jobs that had a value before, and of these that have none now

REMOTE_TEXT: Final = 200  # characters of the server's text that a message repeats

SMALL_FILE: Final = 1 << 20  # files of a folder up to this size are read at once, not kept open
PSEUDONYM_KEY: Final = 16  # bytes of a key for pseudonyms, at least: a shorter one can be guessed
KEY_FILE: Final = 4096  # read of a key file; a longer one holds no key

PAGE_SIZES: Final = (10, 20, 25, 50, 100, 200, 250, 500, 1000)  # at which services like to cut a list
MIN_MISSING: Final = 5  # jobs of one user or status, from which on it means something if all of them are missing
MIN_KNOWN_JOBS: Final = 10  # from so many on it means something if the list lacks most of them
MIN_SHARE: Final = 0.5  # of the known jobs that a whole list has at least
MIN_DETAILS: Final = 10  # from so many details on it means something if all are missing
REFUND_PERIOD: Final = timedelta(days=3)  # after its end a job may get a refund
LONGEST_WALK: Final = 64 << 20  # bytes of a damaged file that are searched for documents
