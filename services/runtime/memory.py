"""How a process that makes and drops many short-lived objects has Python and glibc treat its memory."""

import ctypes
import gc

_YOUNG = (50_000, 20, 100)
"""Allocations until the youngest objects are looked at, and how often that is until older ones are."""
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of `mallopt` (https://man7.org/linux/man-pages/man3/mallopt.3.html)."""
_KEPT = 16 * 1024 * 1024
"""Bytes of freed memory that stay with the process, and from which on a block is mapped by itself."""


def spare_memory_work() -> None:
    """Look for cyclic garbage more rarely, and keep a little of what was freed. Process-wide; harmless twice.

    Parsed JSON and customers' documents hold no cycles: by default a fifth of the time goes into walking them. And glibc gives the top of
    the heap back as soon as a batch is done and asks for it anew with the next one: each page is mapped, cleared and counted again, which
    took a twentieth of ingest's time. Elsewhere than on glibc only the first is done.
    """
    gc.set_threshold(*_YOUNG)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
