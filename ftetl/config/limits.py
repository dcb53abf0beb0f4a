"""Every number that bounds a run, in one place; seconds and bytes.

Imports nothing. The first three are what the command line's options start from.
"""

from __future__ import annotations

from typing import Final

DEADLINE: Final = 300.0  # the network part of a run
MAX_BYTES: Final = 1 << 30  # of one answer or one compressed file, decompressed
CONCURRENCY: Final = 8  # details asked for at once

REQUESTS: Final = 6  # for the list, and for each detail
DOUBTS: Final = 1  # more requests after an answer that is whole but wrong: a second one like it settles the matter
LONGEST_JITTER: Final = 60.0
CONNECT: Final = 10.0
SILENCE: Final = 30.0  # between two pieces of an answer

SKEW: Final = 300.0  # by which this machine's clock may differ from the service's

LOOK: Final = 30.0  # the network part of a look before the first run

CHUNK: Final = 1 << 16  # read from a socket or a file at once
ERROR_BODY: Final = 1 << 16  # of an answer that is none: as much is looked at for a message
ERROR_BODY_WAIT: Final = 5.0
REMOTE_TEXT: Final = 200  # characters of a text from the other side that a message repeats

SMALL_FILE: Final = 1 << 20  # up to here a file of a folder is read at once instead of being kept open
PSEUDONYM_KEY: Final = 16  # bytes of a key for pseudonyms, at least: what is shorter can be guessed
KEY_FILE: Final = 4096  # of a key file, as much is read: what is longer is no key
