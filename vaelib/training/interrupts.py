"""Ctrl-C and SIGTERM become a wish that the loop fulfils at the end of its step."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopWishes:
    """Inside `with StopWishes() as wishes:`, SIGINT and SIGTERM set `wishes.signal` and nothing else.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python hands out no signals, it does nothing.

    Attributes:
        signal: the signal that came, or None.
    """

    def __init__(self, second_interrupts: bool = True) -> None:
        self.signal: signal.Signals | None = None
        self._second_interrupts = second_interrupts
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._wish)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._former.items():
            # None: the handler was not set from Python and cannot be put back from it.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _wish(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT and self._second_interrupts:
            raise KeyboardInterrupt("interrupted twice: the step was not finished")
        self.signal = signal.Signals(number)

    def exception(self, message: str) -> BaseException:
        """What the signal would have raised by itself: KeyboardInterrupt, or SystemExit for SIGTERM."""
        return SystemExit(128 + signal.SIGTERM) if self.signal == signal.SIGTERM else KeyboardInterrupt(message)
