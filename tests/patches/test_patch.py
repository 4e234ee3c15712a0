"""One reversible patch: metadata, marker and state, alone and with other wrappers."""

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
    """A third-party wrapper that keeps its original in a closure."""
    return lambda *args: f"<{inner(*args)}>"


def wrapped(inner):
    """A third-party wrapper made with functools.wraps."""

    @functools.wraps(inner)
    def wrapper(*args):
        return f"<{inner(*args)}>"

    return wrapper


DECORATORS = [closed_over, wrapped]


def test_patch_keeps_name_signature_and_docstring_and_sets_a_marker():
    """The wrapper has the metadata of the original, and a marker of its own."""
    base = make_base()
    original = vars(base)["greet"]
    Patch(base, "greet", shout).apply()
    assert base().greet("me") == "HELLO ME"
    assert base.greet.__doc__ == original.__doc__
    assert base.greet.__qualname__ == original.__qualname__
    assert inspect.signature(base.greet) == inspect.signature(original)
    marker = marker_of(base.greet)
    assert (marker.owner, marker.original) == ("valloss_compat", original)
    assert marker.version


def test_state_of_an_inherited_method_names_the_base_that_defines_it():
    """As the owner before and after the patch, and as the original."""
    base = make_base()
    child = type("Child", (base,), {})
    name = f"{full_name(base)}.greet"
    patch = Patch(child, "greet", shout)
    assert patch.inspect()[1:] == ("inactive", "not applied yet", name, name)
    patch.apply()
    assert patch.inspect()[1:] == ("active", "", f"valloss_compat {__version__}", name)
    patch.revert()
    assert patch.inspect()[1:] == ("inactive", "reverted", name, name)


@pytest.mark.parametrize("decorate", DECORATORS)
def test_earlier_third_party_wrapper_is_kept(decorate):
    """It runs below the patch, and a revert restores it."""
    base = make_base()
    earlier = base.greet = decorate(vars(base)["greet"])
    patch = Patch(base, "greet", shout)
    patch.apply()
    assert base().greet("me") == "<HELLO ME>"
    patch.revert()
    assert vars(base)["greet"] is earlier


@pytest.mark.parametrize("decorate", DECORATORS)
def test_later_third_party_wrapper_is_kept(decorate):
    """It stays; the patch below it is disabled, reported and enabled again."""
    base = make_base()
    patch = Patch(base, "greet", shout)
    patch.apply()
    later = base.greet = decorate(vars(base)["greet"])
    assert marker_of(later) is None
    for _ in range(3):
        patch.apply()
        assert (patch.inspect().state, base().greet("me")) == ("active", "<HELLO ME>")
        patch.revert()
        assert (patch.inspect().state, base().greet("me")) == ("disabled", "<hello me>")
        assert "wraps it and stays" in patch.inspect().reason
        assert vars(base)["greet"] is later
    # Without the later wrapper the patch is outermost and can be removed.
    base.greet = next(cell.cell_contents for cell in later.__closure__)
    patch.apply()
    patch.revert()
    assert base().greet("me") == "hello me"
    assert MARKER not in vars(base.greet)


def test_wrapper_that_hides_the_patch_is_patched_on_top():
    """Where the patch below it cannot be found, it gets another one."""
    base = make_base()
    patch = Patch(base, "greet", shout)
    patch.apply()
    hidden = [vars(base)["greet"]]
    assert patch.inspect()[1:3] == ("active", "")
    base.greet = eval("lambda *args: hidden[0](*args)", {"hidden": hidden})
    hiding = base.greet
    state, reason = patch.inspect()[1:3]
    assert state == "replaced"
    assert "does not wrap it" in reason
    for _ in range(2):
        patch.apply()
        assert (patch.inspect().state, base().greet("me")) == ("active", "HELLO ME")
        patch.revert()
        assert vars(base)["greet"] is hiding
        assert base().greet("me") == "hello me"


def test_patches_of_two_modes_share_one_wrapper():
    """The patch applied last decides what the wrapper does."""
    base = make_base()
    original = vars(base)["greet"]
    Patch(base, "greet", shout).apply()
    first = vars(base)["greet"]
    second = Patch(base, "greet", lambda call, args, _: call(*args) + "!")
    second.apply()
    assert vars(base)["greet"] is first
    assert base().greet("me") == "hello me!"
    second.revert()
    assert vars(base)["greet"] is original


def test_function_of_a_module_is_patched():
    """It gets its arguments unchanged."""
    module = types.ModuleType("module_of_test")
    exec("def greet(name):\n    return 'hello ' + name", vars(module))
    patch = Patch(module, "greet", shout)
    patch.apply()
    assert module.greet("me") == "HELLO ME"
    assert patch.name == "module_of_test.greet"
    patch.revert()
    assert module.greet("me") == "hello me"


def test_find_wrapped_searches_wrapped_and_closures():
    """It searches no classes and modules, and ends where closures are recursive."""

    def goal():
        """What is searched for."""

    def found(thing):
        return find_wrapped(thing, lambda item: item if item is goal else None) is goal

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


def test_missing_function_is_added_and_removed():
    """As the helpers of native mmengine are on older releases."""
    module = types.ModuleType("module_of_test")
    patch = Patch(module, "greet", shout, default=lambda name: f"hello {name}")
    for _ in range(2):
        patch.apply()
        assert module.greet("me") == "HELLO ME"
        assert patch.inspect()[1:3] == ("active", "")
        patch.revert()
        assert not hasattr(module, "greet")
        assert patch.inspect()[1:3] == ("inactive", "reverted")


def test_replaced_wrapper_is_reported_and_disabled():
    """Other code may hold it where it cannot be found."""

    class Base:
        def greet(self):
            return "hello"

    patch = Patch(Base, "greet", shout)
    patch.apply()
    installed = Base.greet
    Base.greet = lambda self: "another"
    assert patch.inspect().state == "replaced"
    patch.revert()
    assert patch.inspect().state == "disabled"
    assert "wraps it and stays" in patch.inspect().reason
    assert installed(Base()) == "hello"
