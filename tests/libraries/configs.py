"""Classes as the libraries have them."""

from __future__ import annotations

from typing import Any


def library_class(module: str, name: str, *bases: type, **body: Any) -> type:
    """A class as if it were defined in a module of a library."""
    return type(name, bases, {"__module__": module, **body})
