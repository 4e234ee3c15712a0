"""What a callable holds inside, and who made it: how foreign wrappers are read."""

from __future__ import annotations

import functools
import types
from typing import Any, Callable, Dict, Iterator, Optional


def reached(thing: Any, wanted: Callable[[Any], bool]) -> Optional[Any]:
    """Find what a callable holds, as a wrapper holds its original.

    Args:
        thing: Where to look: ``__wrapped__``, ``__func__``, ``func`` (of a
            partial), closure, defaults, attributes, and the globals that its
            own code names.
        wanted (Callable): Tells of a callable whether it is the one.

    Returns:
        The first that is wanted; None also where a wrapper keeps it out of sight.
    """
    seen: Dict[int, Any] = {}
    # Globals last, and of the outermost alone: they lead far.
    for waiting in ([thing], list(_named_globals(thing))):
        while waiting:
            item = waiting.pop()
            if id(item) in seen or not _may_hold(item):
                continue
            if wanted(item):
                return item
            seen[id(item)] = item
            waiting.extend(_held(item))
    return None


def reaches(thing: Any, goal: Any) -> bool:
    """Tell whether a callable holds another one, as :func:`reached` finds it."""
    return reached(thing, lambda item: item is goal) is not None


def name_of(thing: Any) -> str:
    """Who a callable is, for messages; of a wrapper, not the face that it wears."""
    try:  # past the proxies of wrapt, which answer as their original does
        inner = object.__getattribute__(thing, "_self_wrapper")
    except AttributeError:
        pass
    else:
        return f"{name_of(inner)} ({type(thing).__module__}.{type(thing).__name__})"
    thing = getattr(thing, "__func__", thing)
    if type(thing) is types.FunctionType and "__wrapped__" in vars(thing):
        maker = str(thing.__globals__.get("__name__"))
        # mmengine itself puts torch.no_grad on its methods.
        if not maker.startswith("torch."):
            return f"{maker}.{thing.__code__.co_name}"
    owner = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(owner, '__module__', None) or '?'}.{owner.__qualname__}"


def _may_hold(item: Any) -> bool:
    if isinstance(item, (type, types.ModuleType)):
        return False
    return callable(item) or hasattr(item, "__func__") or _is_partial(item)


def _is_partial(item: Any) -> bool:
    return isinstance(item, (functools.partial, functools.partialmethod))


def _held(item: Any) -> Iterator[Any]:
    yield getattr(item, "__wrapped__", None)
    yield getattr(item, "__func__", None)
    if _is_partial(item):
        yield item.func
    yield from getattr(item, "__defaults__", None) or ()
    yield from (getattr(item, "__kwdefaults__", None) or {}).values()
    yield from getattr(item, "__dict__", {}).values()
    for cell in getattr(item, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            continue


def _named_globals(thing: Any) -> Iterator[Any]:
    function = getattr(thing, "__func__", thing)
    code = getattr(function, "__code__", None)
    known = getattr(function, "__globals__", {})
    return (known[name] for name in getattr(code, "co_names", ()) if name in known)
