"""Wrappers of other libraries below a patch, above it, or both: none is lost."""

from __future__ import annotations

import functools
import sys
import types

import pytest
import wrapt

from valloss_compat._patches.patch import Patch, marker_of


def plain(inner, tag):
    """Written by hand: a function that closes over the original."""
    return lambda *args: f"{tag}({inner(*args)})"


def wraps(inner, tag):
    """With functools.wraps, which copies the marker."""

    @functools.wraps(inner)
    def wrapper(*args):
        return f"{tag}({inner(*args)})"

    return wrapper


def function_wrapper(inner, tag):
    """A proxy of wrapt: has the class of its original and needs to be bound."""

    def wrapper(wrapped, instance, args, kwargs):
        return f"{tag}({wrapped(*args)}{'' if instance is None else ' to me'})"

    return wrapt.FunctionWrapper(inner, wrapper)


def decorator(inner, tag):
    """The same, by the decorator of wrapt."""

    @wrapt.decorator
    def wrapper(wrapped, instance, args, kwargs):
        return f"{tag}({wrapped(*args)}{'' if instance is None else ' to me'})"

    return wrapper(inner)


def class_method(make):
    """Return a function that makes a third-party wrapper of a class method."""

    def make_it(inner, tag):
        if make in (function_wrapper, decorator):
            return make(inner, tag)
        return classmethod(make(inner.__func__, tag))

    return make_it


KINDS = [None, plain, wraps, function_wrapper, decorator]


def own():
    """A method of the class itself."""
    return type("Base", (), {"greet": lambda self: "hello"}), lambda cls: cls().greet()


def inherited():
    """A method that the class inherits."""
    base, call = own()
    return type("Child", (base,), {}), call


def of_class():
    """A class method."""
    method = classmethod(lambda cls: "hello")
    return type("Base", (), {"greet": method}), lambda cls: cls.greet()


def of_module():
    """A function of a module."""
    module = types.ModuleType("module_of_test")
    exec("def greet():\n    return 'hello'", vars(module))
    return module, lambda module: module.greet()


TARGETS = [own, inherited, of_class, of_module]


def exclaim(original, args, kwargs):
    """The wrapper of these tests: adds one exclamation mark a call."""
    return original(*args) + "!"


@pytest.mark.parametrize("make_target", TARGETS)
@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", KINDS)
def test_revert_keeps_wrappers_installed_before_and_after(make_target, before, after):
    """They run in all combinations; the patch between them is disabled and enabled."""
    target, call = make_target()

    def put(kind, tag):
        if kind is not None:
            make = class_method(kind) if make_target is of_class else kind
            inner = vars(target).get("greet") or target.greet
            target.greet = make(inner, tag)
        return vars(target).get("greet")

    def expected(with_patch):
        bare = tagged(before, "b", "hello")
        return tagged(after, "a", bare + ("!" if with_patch else ""))

    def tagged(kind, tag, text):
        proxies = kind in (function_wrapper, decorator) and make_target is not of_module
        return f"{tag}({text}{' to me' if proxies else ''})" if kind else text

    below = put(before, "b")
    patch = Patch(target, "greet", exclaim)
    patch.apply()
    installed = vars(target)["greet"]
    above = put(after, "a")
    for _ in range(3):
        patch.apply()
        assert (call(target), patch.inspect().state) == (expected(True), "active")
        patch.revert()
        state = patch.inspect()
        assert call(target) == expected(False)
        assert vars(target).get("greet") is (above if after else below)
        assert state.state == ("disabled" if after else "inactive")
        assert state.reason
    if not after:
        return
    assert marker_of(above) is None
    assert state.reason.startswith(f"{state.owner} wraps it and stays")
    assert __name__ in state.owner
    # Other code removes its wrapper and restores the disabled patch.
    target.greet = installed
    after = None
    assert (call(target), patch.inspect().state) == (expected(False), "disabled")
    assert "revert() removes it" in patch.inspect().reason
    patch.revert()
    assert vars(target).get("greet") is below
    assert patch.inspect().state == "inactive"
    # Other code installs the removed wrapper: disabled until it is applied again.
    target.greet = installed
    assert (call(target), patch.inspect().state) == (expected(False), "disabled")
    assert "revert() removes it" in patch.inspect().reason
    patch.apply()
    assert vars(target)["greet"] is installed
    assert (call(target), patch.inspect().state) == (expected(True), "active")
    patch.revert()
    assert vars(target).get("greet") is below


@pytest.mark.parametrize("make_target", [own, inherited])
def test_patch_removed_with_the_wrapper_above_it_is_inactive(make_target):
    """Other code restores the original: the status does not claim the patch."""
    target, call = make_target()
    original = vars(target).get("greet")
    patch = Patch(target, "greet", exclaim)
    patch.apply()
    target.greet = wraps(vars(target)["greet"], "a")
    patch.revert()
    target.greet = original
    if original is None:
        del target.greet
    gone = "reverted, and the wrapper around it is gone"
    assert patch.inspect()[1:3] == ("inactive", gone)
    patch.revert()
    assert vars(target).get("greet") is original
    assert patch.inspect()[1:3] == ("inactive", "reverted")
    patch.apply()
    assert call(target) == "hello!"


def test_patch_of_another_mode_below_a_third_party_wrapper_is_reused():
    """Nothing counts twice: the second patch enables or disables the same wrapper."""
    target, call = own()
    first, second = Patch(target, "greet", exclaim), Patch(target, "greet", exclaim)
    first.apply()
    target.greet = wraps(vars(target)["greet"], "a")
    assert second.inspect()[1:3] == ("active", "")
    second.apply()
    assert call(target) == "a(hello!)"
    second.revert()
    assert call(target) == "a(hello)"


def test_override_made_from_the_patched_base_method_gets_its_own_patch():
    """As ``evaluate = deco(Base.evaluate)`` in a subclass: two classes, two patches."""
    base, call = own()
    lower = Patch(base, "greet", exclaim)
    lower.apply()
    child = type("Child", (base,), {"greet": wraps(base.greet, "a")})
    upper = Patch(child, "greet", exclaim)
    held = vars(child)["greet"]
    upper.apply()
    assert call(child) == "a(hello!)!"
    upper.revert()
    lower.revert()
    assert vars(child)["greet"] is held
    assert call(child) == "a(hello)"


def test_method_made_from_another_patched_method_gets_its_own_patch():
    """As ``evaluate = deco(process)`` in one class: two names, two patches."""
    target, _ = own()
    first = Patch(target, "greet", exclaim)
    first.apply()
    held = target.wave = wraps(target.greet, "a")
    second = Patch(target, "wave", exclaim)
    assert second.inspect().state == "inactive"
    second.apply()
    assert target().wave() == "a(hello!)!"
    second.revert()
    assert target.wave is held
    assert target().wave() == "a(hello!)"


class Answers:
    """An object that is called without the instance, as it is no descriptor."""

    def __call__(self):
        return "answer"


def test_callable_that_is_no_descriptor_is_called_without_the_instance():
    """A Mock or a partial in the place of a method."""
    rows = [(Answers(), "answer")]
    if sys.version_info < (3, 13):  # later a partial warns that it will become one
        rows.append((functools.partial(str, 7), "7"))
    for replacement, answer in rows:
        target, call = own()
        target.greet = replacement
        patch = Patch(target, "greet", exclaim)
        patch.apply()
        assert call(target) == answer + "!"
        patch.revert()
        assert vars(target)["greet"] is replacement
