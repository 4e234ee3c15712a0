"""An exception at a line of the package, wherever that line is."""

from __future__ import annotations

import dis
import os
import sys
from typing import Any, Dict, List, Optional, Tuple, Type

import valloss_compat

PACKAGE = os.path.dirname(valloss_compat.__file__)
#: File and number of a line.
Line = Tuple[str, int]


class InterruptAt:
    """Raises at a line of the package that runs; without one, lists those that run.

    Args:
        line (tuple, optional): One of ``lines``.
        time (int): Which time that the line runs.
        kind (type): The exception.

    Attributes:
        lines (list): Those that ran, each as often as it did.
        raised (bool): Whether the exception was raised.
    """

    def __init__(
        self,
        line: Optional[Line] = None,
        time: int = 1,
        kind: Type[BaseException] = KeyboardInterrupt,
    ) -> None:
        self.lines: List[Line] = []
        self.raised = False
        self._line, self._left, self._kind = line, time, kind
        self._known: Dict[Any, Any] = {}

    def __enter__(self) -> InterruptAt:
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: Any) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: Any, event: str, arg: Any) -> Any:
        # Most of the time that tracing takes is spent here: code objects have a slow
        # hash, and functions without the line need no events of their lines.
        code = frame.f_code
        try:
            return self._known[id(code)][1]
        except KeyError:
            tracer = self._on_line if self._is_wanted(code) else None
            self._known[id(code)] = code, tracer  # keeps it, and so its id
            return tracer

    def _is_wanted(self, code: Any) -> bool:
        if self._line is None:
            return str(code.co_filename).startswith(PACKAGE)
        numbers = (number for _, number in dis.findlinestarts(code))
        return code.co_filename == self._line[0] and self._line[1] in numbers

    def _on_line(self, frame: Any, event: str, arg: Any) -> Any:
        line = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and self._line is None:
            self.lines.append(line)
        elif event == "line" and line == self._line:
            self._left -= 1
            if self._left == 0:
                self.raised = True
                raise self._kind
        return self._on_line
