"""One reversible patch, with others patching before and after us."""

from __future__ import annotations

import functools
import inspect
import types

import pytest
from support.greeting import make_base, shout

from valloss_compat import __version__
from valloss_compat._patches.patch import MARKER, Patch, full_name, marker_of, reaches


def closed_over(inner):
    """A foreign wrapper that keeps its original in a closure."""
    return lambda *args: f"<{inner(*args)}>"


def wrapped(inner):
    """A foreign wrapper made with functools.wraps."""

    @functools.wraps(inner)
    def wrapper(*args):
        return f"<{inner(*args)}>"

    return wrapper


class Holder:
    """A foreign wrapper that is an object and a descriptor, as wrapt's are."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, *args):
        return f"<{self.inner(*args)}>"

    def __get__(self, instance, owner):
        return self if instance is None else types.MethodType(self, instance)


FOREIGN = [closed_over, wrapped, Holder]


def test_a_patch_keeps_name_signature_docstring_and_mark():
    """What inspects the method sees the original's face, and our mark."""
    base = make_base()
    original = vars(base)["greet"]
    Patch(base, "greet", shout).apply()
    assert base().greet("me") == "HELLO ME"
    assert base.greet.__doc__ == original.__doc__
    assert base.greet.__qualname__ == original.__qualname__
    assert inspect.signature(base.greet) == inspect.signature(original)
    mark = marker_of(base.greet)
    assert (mark.owner, mark.original) == ("valloss_compat", original)
    assert mark.version


def test_of_an_inherited_method_the_look_says_whose_it_is():
    """Before us and below us: that of the next base that has it."""
    base = make_base()
    child = type("Child", (base,), {})
    name = f"{full_name(base)}.greet"
    patch = Patch(child, "greet", shout)
    assert patch.look() == ("inactive", "not applied yet", name, name)
    patch.apply()
    assert patch.look() == ("active", "", f"valloss_compat {__version__}", name)
    patch.revert()
    assert patch.look() == ("inactive", "reverted", name, name)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_was_there_before_us_is_kept(foreign):
    """A foreign wrapper below ours runs, and comes back by revert."""
    base = make_base()
    theirs = base.greet = foreign(vars(base)["greet"])
    patch = Patch(base, "greet", shout)
    patch.apply()
    assert base().greet("me") == "<HELLO ME>"
    patch.revert()
    assert vars(base)["greet"] is theirs


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_came_after_us_is_kept(foreign):
    """A foreign wrapper over ours stays; ours goes quiet, says so, and wakes."""
    base = make_base()
    patch = Patch(base, "greet", shout)
    patch.apply()
    theirs = base.greet = foreign(vars(base)["greet"])
    assert marker_of(theirs) is None
    for _ in range(3):
        patch.apply()
        assert (patch.state, base().greet("me")) == ("active", "<HELLO ME>")
        patch.revert()
        assert (patch.state, base().greet("me")) == ("disabled", "<hello me>")
        assert "was put over ours and stays" in patch.reason
        assert vars(base)["greet"] is theirs
    # They leave, in their way; then ours is outermost and leaves as well.
    base.greet = getattr(theirs, "inner", None) or _inner(theirs)
    patch.apply()
    patch.revert()
    assert base().greet("me") == "hello me"
    assert MARKER not in vars(base.greet)


def _inner(wrapper):
    return next(cell.cell_contents for cell in wrapper.__closure__)


def test_a_wrapper_that_hides_ours_is_wrapped_anew():
    """Where ours cannot be found below, it is put on top: it runs in any case."""
    base = make_base()
    patch = Patch(base, "greet", shout)
    patch.apply()
    hidden = [vars(base)["greet"]]
    assert patch.look()[:2] == ("active", "")
    base.greet = eval("lambda *args: hidden[0](*args)", {"hidden": hidden})
    theirs = base.greet
    state, reason = patch.look()[:2]
    assert state == "replaced"
    assert "does not show ours" in reason
    for _ in range(2):
        patch.apply()
        assert (patch.look()[0], base().greet("me")) == ("active", "HELLO ME")
        patch.revert()
        assert vars(base)["greet"] is theirs
        assert base().greet("me") == "hello me"


def test_another_copy_of_the_package_is_taken_over():
    """Two patches of the same place make one wrapper."""
    base = make_base()
    original = vars(base)["greet"]
    Patch(base, "greet", shout).apply()
    first = vars(base)["greet"]
    second = Patch(base, "greet", lambda call, *args: call(*args) + "!")
    second.apply()
    assert vars(base)["greet"] is first
    assert base().greet("me") == "hello me!"
    second.revert()
    assert vars(base)["greet"] is original


def test_a_function_of_a_module_is_patched():
    """It gets its arguments as they are."""
    module = types.ModuleType("module_of_test")
    exec("def greet(name):\n    return 'hello ' + name", vars(module))
    patch = Patch(module, "greet", shout)
    patch.apply()
    assert module.greet("me") == "HELLO ME"
    assert patch.name == "module_of_test.greet"
    patch.revert()
    assert module.greet("me") == "hello me"


def test_reaches_looks_where_wrappers_keep_their_original():
    """And neither into classes and modules nor forever."""

    def goal():
        pass

    def loop():
        return loop

    loop.me = loop
    assert reaches(goal, goal)
    assert reaches(staticmethod(goal), goal)
    assert reaches(functools.partial(goal), goal)
    assert reaches(functools.partialmethod(goal), goal)
    assert reaches(lambda first, inner=goal: inner(first), goal)
    assert reaches(eval("lambda: inner()", {"inner": goal}), goal)
    assert not reaches(loop, goal)
    loop.place = Holder(goal)
    assert reaches(loop, goal)

    def unfilled():
        return later

    def filled_in_part():
        return later, outer

    outer = Holder(goal)
    assert not reaches(unfilled, goal)
    assert reaches(filled_in_part, goal)
    later = pytest

    assert not reaches(unfilled, goal)
