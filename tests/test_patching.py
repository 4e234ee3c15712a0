"""One reversible patch, with others patching before and after us."""

from __future__ import annotations

import functools
import inspect
import types
from typing import ClassVar

import pytest

from valloss_compat.family import Family
from valloss_compat.patching import Patch
from valloss_compat.reach import reaches
from valloss_compat.wrapper import MARK, mark_of


def make_base():
    """A new class each time, so that no test sees another's patches."""

    class Base:
        def greet(self, name="you"):
            """Say hello."""
            return f"hello {name}"

    return Base


def shout(original, *args, **kwargs):
    """The seam of these tests."""
    return original(*args, **kwargs).upper()


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
    mark = mark_of(base.greet)
    assert (mark.owner, mark.original) == ("valloss_compat", original)
    assert mark.version


def test_a_thousand_cycles_end_with_the_very_objects_of_before():
    """Own and inherited attributes alike."""
    base = make_base()
    family = Family(base, {"greet": shout})
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    before = {cls: dict(vars(cls)) for cls in (base, child)}
    for _ in range(1000):
        family.apply()
        family.apply()
        assert child().greet() == "HI"
        family.revert()
        family.revert()
    for cls, namespace in before.items():
        assert list(vars(cls)) == list(namespace)
        assert all(vars(cls)[key] is value for key, value in namespace.items())


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
    assert mark_of(theirs) is None
    for _ in range(3):
        patch.apply()
        assert (patch.state, base().greet("me")) == ("applied", "<HELLO ME>")
        patch.revert()
        assert (patch.state, base().greet("me")) == ("quiet", "<hello me>")
        assert "was put over ours and stays" in patch.reason
        assert vars(base)["greet"] is theirs
    # They leave, in their way; then ours is outermost and leaves as well.
    base.greet = getattr(theirs, "inner", None) or _inner(theirs)
    patch.apply()
    patch.revert()
    assert base().greet("me") == "hello me"
    assert MARK not in vars(base.greet)


def _inner(wrapper):
    return next(cell.cell_contents for cell in wrapper.__closure__)


def test_a_wrapper_that_hides_ours_is_wrapped_anew():
    """Where ours cannot be found below, it is put on top: it runs in any case."""
    base = make_base()
    patch = Patch(base, "greet", shout)
    patch.apply()
    hidden = [vars(base)["greet"]]
    assert patch.look()[:2] == ("applied", "")
    base.greet = eval("lambda *args: hidden[0](*args)", {"hidden": hidden})
    theirs = base.greet
    state, reason = patch.look()[:2]
    assert state == "not seen"
    assert "does not show ours" in reason
    for _ in range(2):
        patch.apply()
        assert (patch.look()[0], base().greet("me")) == ("applied", "HELLO ME")
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


def test_subclasses_made_later_are_patched_while_the_patch_is_on():
    """By __init_subclass__, which passes on its keywords; it sleeps when reverted."""

    class Base:
        made: ClassVar[list] = []

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__()
            Base.made.append((cls.__name__, kwargs))

        def greet(self):
            return "hello"

    family = Family(Base, {"greet": shout})
    family.apply()

    class Child(Base, tag=1):
        def greet(self):
            return "hi"

    class Silent(Child):
        pass

    assert (Child().greet(), Silent().greet()) == ("HI", "HI")
    assert Base.made == [("Child", {"tag": 1}), ("Silent", {})]
    assert [name.split(".")[-2:] for name in family.overriding()] == [
        ["Child", "greet"]
    ]
    family.revert()
    assert Child().greet() == "hi"


def test_a_sleeping_init_subclass_only_calls_what_it_hides():
    """As when another's __init_subclass__ was put over ours."""
    base = make_base()
    family = Family(base, {"greet": shout})
    family.apply()
    ours = vars(base)["__init_subclass__"].__func__
    base.__init_subclass__ = classmethod(lambda cls, **kwargs: ours(cls, **kwargs))
    family.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    assert child().greet() == "hi"
    assert not any(patch.target is child for patch in family.patches)
    family.apply()
    assert child().greet() == "HI"


def test_a_diamond_of_subclasses_is_patched_once():
    """However many ways lead to a class."""
    base = make_base()
    sides = [type(name, (base,), {}) for name in ("Left", "Right")]
    bottom = type("Bottom", tuple(sides), {"greet": lambda self: "hi"})
    family = Family(base, {"greet": shout})
    family.apply()
    assert bottom().greet() == "HI"
    assert len(family.overriding()) == 1


def test_a_family_without_subclasses_patches_the_root_alone():
    """As parity mode wants it."""
    base = make_base()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    Family(base, {"greet": shout}, subclasses=False).apply()
    assert (base().greet(), child().greet()) == ("HELLO YOU", "hi")
    assert "__init_subclass__" not in vars(base)


def test_reaches_looks_where_wrappers_keep_their_original():
    """And neither into classes and modules nor forever."""

    def goal():
        pass

    def loop():
        return loop

    loop.me = loop
    assert reaches(goal, goal)
    assert reaches(staticmethod(goal), goal)
    assert not reaches(loop, goal)
    loop.place = Holder(goal)
    assert reaches(loop, goal)

    def unfilled():
        return later

    assert not reaches(unfilled, goal)
    later = pytest

    assert not reaches(unfilled, goal)


def test_what_is_covered_after_a_revert_stays_as_it_is():
    """As when another thread reverts while a loop asks for its evaluator's class."""
    base = make_base()
    family = Family(base, {"greet": shout})
    family.apply()
    family.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    family.cover(child)
    assert child().greet() == "hi"
