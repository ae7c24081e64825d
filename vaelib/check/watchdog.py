"""Stop what takes too long: an answer may loop for ever, and the check that called it must not."""

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 20.0
"""How long one check may take. A usual one takes less than one second."""

# An answer that catches everything in a loop catches the first alarm too, so the alarm rings again.
AGAIN = 0.2


class TimeUp(BaseException):
    """The time is over. Not an `Exception`, so that `except Exception` in an answer does not swallow it."""


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `TimeUp` inside the block when it has run for this many seconds.

    On the main thread of a system with interval timers (Linux, macOS; a notebook's cells run there) an alarm does it.
    Elsewhere (Windows, other threads) a second thread asks the interpreter to raise in the first. Both act between two
    steps of the interpreter: any loop in Python is stopped, but one single call into compiled code (a huge matrix
    product) is first waited for. A process that must be stopped whatever it does needs another process, which is what
    grading uses.

    Args:
        seconds: wall-clock time, positive.
    Raises:
        TimeUp: in the block.
    """
    if seconds <= 0:
        raise ValueError(f"seconds should be positive, not {seconds}")
    on_main_thread = threading.current_thread() is threading.main_thread()
    if on_main_thread and hasattr(signal, "setitimer"):
        with _alarm(seconds):
            yield
    else:
        with _second_thread(seconds):
            yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    armed = True

    def ring(number: int, frame: object) -> None:
        if armed:
            raise TimeUp

    started = time.monotonic()
    previous = signal.signal(signal.SIGALRM, ring)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if previous is None else previous)
        if remaining:  # somebody else's alarm was set: it rings when it would have
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - started), 1e-3), interval)


@contextmanager
def _second_thread(seconds: float) -> Iterator[None]:
    watched = ctypes.c_ulong(threading.get_ident())
    over, turn = threading.Event(), threading.Lock()
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            with turn:
                if not over.is_set():
                    interrupt(watched, ctypes.py_object(TimeUp))
            wait = AGAIN

    threading.Thread(target=watch, name="vaelib.check watchdog", daemon=True).start()
    try:
        yield
    finally:
        with turn:
            over.set()
            interrupt(watched, None)  # one that was asked for and has not been raised yet
