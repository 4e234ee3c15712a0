"""Wrappers of other libraries, below ours, above it or both: they are never lost."""

from __future__ import annotations

import functools
import sys
import types

import pytest
import wrapt

from valloss_compat._patches.patch import Patch, marker_of


def plain(inner, tag):
    """As written by hand: a function that closes over the original."""
    return lambda *args: f"{tag}({inner(*args)})"


def wraps(inner, tag):
    """With functools.wraps, which copies our mark along."""

    @functools.wraps(inner)
    def wrapper(*args):
        return f"{tag}({inner(*args)})"

    return wrapper


def function_wrapper(inner, tag):
    """A proxy of wrapt, which claims to be what it wraps; it must know its instance."""

    def wrapper(wrapped, instance, args, kwargs):
        return f"{tag}({wrapped(*args)}{'' if instance is None else ' to me'})"

    return wrapt.FunctionWrapper(inner, wrapper)


def decorator(inner, tag):
    """The same by wrapt's decorator."""

    @wrapt.decorator
    def wrapper(wrapped, instance, args, kwargs):
        return f"{tag}({wrapped(*args)}{'' if instance is None else ' to me'})"

    return wrapper(inner)


def class_method(make):
    """A foreign wrapper of a class method."""

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


PLACES = [own, inherited, of_class, of_module]


def exclaim(original, *args):
    """Our seam: one exclamation mark for each time that it runs."""
    return original(*args) + "!"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", KINDS)
def test_reversal_is_safe_when_others_patched_before_or_after_us(place, before, after):
    """All combinations: theirs run, ours is switched off and on below, once."""
    target, call = place()

    def put(kind, tag):
        if kind is not None:
            make = class_method(kind) if place is of_class else kind
            inner = vars(target).get("greet") or target.greet
            target.greet = make(inner, tag)
        return vars(target).get("greet")

    def heard(ours):
        bare = tagged(before, "b", "hello")
        return tagged(after, "a", bare + ("!" if ours else ""))

    def tagged(kind, tag, text):
        proxies = kind in (function_wrapper, decorator) and place is not of_module
        return f"{tag}({text}{' to me' if proxies else ''})" if kind else text

    below = put(before, "b")
    patch = Patch(target, "greet", exclaim)
    patch.apply()
    ours = vars(target)["greet"]
    theirs = put(after, "a")
    for _ in range(3):
        patch.apply()
        assert (call(target), patch.inspect().state) == (heard(True), "active")
        patch.revert()
        look = patch.inspect()
        assert call(target) == heard(False)
        assert vars(target).get("greet") is (theirs if after else below)
        assert look.state == ("disabled" if after else "inactive")
        assert look.reason
    if not after:
        return
    assert marker_of(theirs) is None
    assert look.reason.startswith(f"{look.owner} was put over ours and stays")
    assert __name__ in look.owner
    # They leave while ours is quiet, and put back what they found.
    target.greet = ours
    after = None
    assert (call(target), patch.inspect().state) == (heard(False), "disabled")
    assert "revert() takes it off" in patch.inspect().reason
    patch.revert()
    assert vars(target).get("greet") is below
    assert patch.inspect().state == "inactive"
    # They come back with what they once found: it stays off, and is adopted.
    target.greet = ours
    assert (call(target), patch.inspect().state) == (heard(False), "disabled")
    assert "revert() takes it off" in patch.inspect().reason
    patch.apply()
    assert vars(target)["greet"] is ours
    assert (call(target), patch.inspect().state) == (heard(True), "active")
    patch.revert()
    assert vars(target).get("greet") is below


@pytest.mark.parametrize("place", [own, inherited])
def test_ours_is_gone_with_what_was_over_it(place):
    """They remove theirs and ours with it: the status does not claim it."""
    target, call = place()
    original = vars(target).get("greet")
    patch = Patch(target, "greet", exclaim)
    patch.apply()
    target.greet = wraps(vars(target)["greet"], "a")
    patch.revert()
    target.greet = original
    if original is None:
        del target.greet
    gone = "reverted; what was put over ours is gone"
    assert patch.inspect()[:2] == ("inactive", gone)
    patch.revert()
    assert vars(target).get("greet") is original
    assert patch.inspect()[:2] == ("inactive", "reverted")
    patch.apply()
    assert call(target) == "hello!"


def test_the_wrapper_of_another_mode_below_a_foreign_one_is_used():
    """Nothing counts twice: the second patch enables or disables the same wrapper."""
    target, call = own()
    first, second = Patch(target, "greet", exclaim), Patch(target, "greet", exclaim)
    first.apply()
    target.greet = wraps(vars(target)["greet"], "a")
    assert second.inspect()[:2] == ("active", "")
    second.apply()
    assert call(target) == "a(hello!)"
    second.revert()
    assert call(target) == "a(hello)"


def test_a_method_that_holds_the_wrapper_of_its_base_gets_one_of_its_own():
    """As ``evaluate = deco(Base.evaluate)`` in a subclass: two places, two patches."""
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


def test_a_method_that_holds_the_wrapper_of_another_gets_one_of_its_own():
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


def test_a_callable_that_is_no_descriptor_is_called_as_before():
    """A Mock, or a partial, in the place of a method."""
    rows = [(Answers(), "answer")]
    if sys.version_info < (3, 13):  # from there on a partial warns that it will be one
        rows.append((functools.partial(str, 7), "7"))
    for foreign, answer in rows:
        target, call = own()
        target.greet = foreign
        patch = Patch(target, "greet", exclaim)
        patch.apply()
        assert call(target) == answer + "!"
        patch.revert()
        assert vars(target)["greet"] is foreign
