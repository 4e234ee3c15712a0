"""One reversible patch, with others patching before and after us."""

from __future__ import annotations

import functools
import inspect
import types

import pytest
from support.greeting import make_base, shout

from valloss_compat import __version__
from valloss_compat._patches.patch import (
    MARKER,
    Patch,
    find_wrapped,
    full_name,
    marker_of,
)


def closed_over(inner):
    """A foreign wrapper that keeps its original in a closure."""
    return lambda *args: f"<{inner(*args)}>"


def wrapped(inner):
    """A foreign wrapper made with functools.wraps."""

    @functools.wraps(inner)
    def wrapper(*args):
        return f"<{inner(*args)}>"

    return wrapper


FOREIGN = [closed_over, wrapped]


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
    assert patch.inspect() == ("inactive", "not applied yet", name, name)
    patch.apply()
    assert patch.inspect() == ("active", "", f"valloss_compat {__version__}", name)
    patch.revert()
    assert patch.inspect() == ("inactive", "reverted", name, name)


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
        assert (patch.inspect().state, base().greet("me")) == ("active", "<HELLO ME>")
        patch.revert()
        assert (patch.inspect().state, base().greet("me")) == ("disabled", "<hello me>")
        assert "was put over ours and stays" in patch.inspect().reason
        assert vars(base)["greet"] is theirs
    # They leave, in their way; then ours is outermost and leaves as well.
    base.greet = next(cell.cell_contents for cell in theirs.__closure__)
    patch.apply()
    patch.revert()
    assert base().greet("me") == "hello me"
    assert MARKER not in vars(base.greet)


def test_a_wrapper_that_hides_ours_is_wrapped_anew():
    """Where ours cannot be found below, it is put on top: it runs in any case."""
    base = make_base()
    patch = Patch(base, "greet", shout)
    patch.apply()
    hidden = [vars(base)["greet"]]
    assert patch.inspect()[:2] == ("active", "")
    base.greet = eval("lambda *args: hidden[0](*args)", {"hidden": hidden})
    theirs = base.greet
    state, reason = patch.inspect()[:2]
    assert state == "replaced"
    assert "does not show ours" in reason
    for _ in range(2):
        patch.apply()
        assert (patch.inspect()[0], base().greet("me")) == ("active", "HELLO ME")
        patch.revert()
        assert vars(base)["greet"] is theirs
        assert base().greet("me") == "hello me"


def test_patches_of_two_modes_share_one_wrapper():
    """The one applied last decides what it does."""
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


def test_find_wrapped_searches_wrapped_and_closures():
    """Not classes and modules, and not forever."""

    def goal():
        """What is searched for."""

    def found(thing):
        return find_wrapped(thing, lambda item: item is goal) is goal

    def recursive():
        return recursive

    assert found(goal)
    assert found(staticmethod(goal))
    assert found(closed_over(goal))
    assert found(wrapped(goal))
    assert not found(functools.partial(goal))
    assert not found(recursive)

    def unfilled():
        return later

    def filled_in_part():
        return later, outer

    outer = closed_over(goal)
    assert not found(unfilled)
    assert found(filled_in_part)
    later = pytest

    assert not found(unfilled)


def test_a_function_that_is_missing_is_added_and_removed():
    """As the helpers of native mmengine are on older releases."""
    module = types.ModuleType("module_of_test")
    patch = Patch(module, "greet", shout, default=lambda name: f"hello {name}")
    for _ in range(2):
        patch.apply()
        assert module.greet("me") == "HELLO ME"
        assert patch.inspect()[:2] == ("active", "")
        patch.revert()
        assert not hasattr(module, "greet")
        assert patch.inspect()[:2] == ("inactive", "reverted")
