"""A class and its subclasses, patched and reverted together."""

from __future__ import annotations

from typing import ClassVar

from support.greeting import make_base, shout

from valloss_compat._patches.patch import marker_of
from valloss_compat._patches.subclasses import SubclassPatcher


def exclaim(original, *args):
    """A seam that can be counted."""
    return original(*args) + "!"


def test_a_thousand_cycles_end_with_the_very_objects_of_before():
    """Own and inherited attributes alike."""
    base = make_base()
    patcher = SubclassPatcher(base, {"greet": shout})
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    before = {cls: dict(vars(cls)) for cls in (base, child)}
    for _ in range(1000):
        patcher.apply()
        patcher.apply()
        assert child().greet() == "HI"
        patcher.revert()
        patcher.revert()
    for cls, namespace in before.items():
        assert list(vars(cls)) == list(namespace)
        assert all(vars(cls)[key] is value for key, value in namespace.items())


def test_subclasses_made_later_are_patched_while_the_patch_is_on():
    """By __init_subclass__, which passes on its keywords; it sleeps when reverted."""

    class Base:
        made: ClassVar[list] = []

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__()
            Base.made.append((cls.__name__, kwargs))

        def greet(self):
            return "hello"

    patcher = SubclassPatcher(Base, {"greet": shout})
    patcher.apply()

    class Child(Base, tag=1):
        def greet(self):
            return "hi"

    class Silent(Child):
        pass

    assert (Child().greet(), Silent().greet()) == ("HI", "HI")
    assert Base.made == [("Child", {"tag": 1}), ("Silent", {})]
    (name,) = patcher.overrides()
    assert name.endswith("Child.greet")
    patcher.revert()
    assert Child().greet() == "hi"


def test_a_sleeping_init_subclass_only_calls_what_it_hides():
    """As when another's __init_subclass__ was put over ours."""
    base = make_base()
    patcher = SubclassPatcher(base, {"greet": shout})
    patcher.apply()
    ours = vars(base)["__init_subclass__"].__func__
    base.__init_subclass__ = classmethod(lambda cls, **kwargs: ours(cls, **kwargs))
    patcher.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    assert child().greet() == "hi"
    assert marker_of(child.greet) is None
    patcher.apply()
    assert child().greet() == "HI"


def test_a_diamond_of_subclasses_is_patched_once():
    """However many ways lead to a class."""
    base = make_base()
    sides = [type(name, (base,), {}) for name in ("Left", "Right")]
    bottom = type("Bottom", tuple(sides), {"greet": lambda self: "hi"})
    patcher = SubclassPatcher(base, {"greet": shout})
    patcher.apply()
    assert bottom().greet() == "HI"
    assert len(patcher.overrides()) == 1


def test_what_is_covered_before_or_after_stays_as_it_is():
    """As when another thread reverts while a loop asks for its evaluator's class."""
    base = make_base()
    patcher = SubclassPatcher(base, {"greet": shout})
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    patcher.ensure_patched(child)
    assert child().greet() == "hi"
    patcher.apply()
    patcher.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    patcher.ensure_patched(child)
    assert child().greet() == "hi"


def test_a_class_may_override_one_method_and_inherit_another():
    """That of a base which is patched already; each is heard once."""
    base = make_base()
    base.wave = lambda self: "bye"
    patcher = SubclassPatcher(base, {"greet": exclaim, "wave": exclaim})
    patcher.apply()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    grandchild = type("Grandchild", (child,), {"wave": lambda self: "see you"})
    assert (grandchild().greet(), grandchild().wave()) == ("hi!", "see you!")
    assert patcher.notes() == []
