"""Settings of the process itself, made before the large libraries are imported."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading
from typing import NoReturn

# By glibc's malloc.h: the free memory kept at the end of a heap, the size from which memory is mapped apart, the heaps.
_ONE_HEAP = {-1: 256 << 20, -3: 32 << 20, -8: 1}
_HEAP_VARIABLES = ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
# pandera's libraries look through all installed distributions for plugins of theirs, which are not used here.
_WITHOUT_PLUGINS = {"TYPEGUARD_DISABLE_PLUGIN_AUTOLOAD": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}


def tune_process() -> None:
    """Set the garbage collector, Arrow's allocator and numpy's threads for one short run, and shorten slow imports.

    Environment variables that the user has set win. The garbage collector's thresholds are always replaced. From now
    on `import hypothesis` fails in this process, unless it was imported before, and plugins of typeguard and pydantic
    are not loaded.
    """
    # The libraries and an index of jobs are hundreds of thousands of objects, none of them garbage. Searching them as
    # often as Python would takes a tenth of a second of the smallest run, and more of larger ones.
    gc.set_threshold(1_000_000, 50, 1_000)
    # pyarrow's own allocator keeps hundreds of megabytes of freed memory; glibc's returns it and is as fast. The
    # allocators of other systems were not measured.
    if _has_glibc():
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # pandera imports it where it is installed, for examples that are not used here: half a second of every run.
    sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type]
    # numpy starts a thread per core for matrix products, which are not used here.
    for name, value in {"OPENBLAS_NUM_THREADS": "1", **_WITHOUT_PLUGINS}.items():
        os.environ.setdefault(name, value)


def share_one_heap() -> None:
    """Let all threads of a run take memory from one heap that keeps what they free; to be called before they start.

    Environment variables that the user has set win.
    """
    # glibc gives each thread a heap, whose free memory the others cannot use, and returns large arrays to the system
    # at once, only to get fresh pages for the next ones.
    # What is free where the run needs another sort of memory, pyarrow's `release_unused` returns.
    if _has_glibc() and not any(name in os.environ for name in _HEAP_VARIABLES):
        import ctypes

        for name, value in _ONE_HEAP.items():
            ctypes.CDLL(None).mallopt(name, value)


def keep_objects_at_exit() -> None:
    """Leave all objects to the system, which takes the memory of a process at once, but do all else that an exit does.

    Python would search hundreds of thousands of objects of the libraries for garbage three times: a sixth of a second.
    """
    gc.freeze()


def leave(exit_code: int) -> NoReturn:
    """End the process as `sys.exit` does, but leave modules and memory to the system: 0.03 s of every command.

    Exit handlers are run and texts are written out. Where threads or a text are in the way of that, `sys.exit` has to
    deal with them.
    """
    threads = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    if all(thread.daemon for thread in threads):
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
            os._exit(exit_code)
    sys.exit(exit_code)


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, OSError, ValueError):  # Windows has no confstr, other libraries not this name
        return False
