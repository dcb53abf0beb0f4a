"""The lock of a target: one writer at a time. The kernel drops it with its process, so it is never stale."""

from __future__ import annotations

import contextlib
import os
import time

from ftetl.errors import FtetlError, TryLaterError
from ftetl.store.filesystem import Folder, Fs

LOCK_FILE = "lock"
_POLL = 0.05  # seconds


class Lock:
    """The right to write to a target, held from construction to `release`.

    Raises:
        TryLaterError: Another process held it for `timeout` seconds.
    """

    def __init__(self, fs: Fs, folder: Folder, *, timeout: float) -> None:
        self._fs = fs
        self._folder = folder
        self._descriptor = self._acquire(timeout)
        with contextlib.suppress(FtetlError):  # the process id is only for the message that others print
            self._fs.write(self._descriptor, b"%-10d\n" % os.getpid(), folder.path / LOCK_FILE)

    def require_held(self) -> None:
        """Check that the lock file is still the one that this process holds.

        Raises:
            TryLaterError: It was removed or replaced, so another run may be writing.
        """
        if not self._is_lock_file(self._descriptor):
            what = f"the lock of {self._folder.path.parent} was removed while this run held it"
            raise TryLaterError("C11", what, next="run again, and leave the lock file alone: it is never stale")

    def release(self) -> None:
        """Let others write."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _acquire(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while True:
            descriptor = self._fs.try_lock(self._folder, LOCK_FILE)
            if descriptor is not None:
                with contextlib.ExitStack() as undo:
                    undo.callback(os.close, descriptor)
                    if self._is_lock_file(descriptor):
                        undo.pop_all()
                        return descriptor
                continue  # the file was removed between opening and locking it: lock the new one
            left = end - time.monotonic()
            if left <= 0:
                what = f"another run{self._holder()} holds {self._folder.path.parent}"
                raise TryLaterError("C01", what, next="wait for it to end, or give --lock-timeout SECONDS")
            time.sleep(min(_POLL, left))

    def _is_lock_file(self, descriptor: int) -> bool:
        status = self._fs.lstat(self._folder, LOCK_FILE)
        return status is not None and os.path.samestat(status, os.fstat(descriptor))

    def _holder(self) -> str:
        with contextlib.suppress(FtetlError):
            process_id = (self._fs.read_bytes(self._folder, LOCK_FILE) or b"").strip()
            if process_id.isdigit():
                return f" (process {int(process_id[:10])})"
        return ""
