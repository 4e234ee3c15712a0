"""Patches of a class and of its subclasses, created before or later."""

from __future__ import annotations

from typing import ClassVar

from support.greeting import make_base, shout

from valloss_compat._patches.patch import marker_of
from valloss_compat._patches.subclasses import SubclassPatcher


def exclaim(original, *args):
    """A wrapper that adds one exclamation mark a call."""
    return original(*args) + "!"


def test_thousand_cycles_restore_the_original_objects():
    """Of own and of inherited attributes."""
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


def test_subclasses_created_later_are_patched_while_the_patch_is_active():
    """By ``__init_subclass__``, which passes its keywords on."""

    class Base:
        created: ClassVar[list] = []

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__()
            Base.created.append((cls.__name__, kwargs))

        def greet(self):
            return "hello"

    patcher = SubclassPatcher(Base, {"greet": shout})
    patcher.apply()

    class Child(Base, tag=1):
        def greet(self):
            return "hi"

    class Grandchild(Child):
        pass

    assert (Child().greet(), Grandchild().greet()) == ("HI", "HI")
    assert Base.created == [("Child", {"tag": 1}), ("Grandchild", {})]
    (name,) = patcher.overrides()
    assert name.endswith("Child.greet")
    patcher.revert()
    assert Child().greet() == "hi"


def test_disabled_init_subclass_only_calls_the_original():
    """It is disabled below an ``__init_subclass__`` of other code."""
    base = make_base()
    patcher = SubclassPatcher(base, {"greet": shout})
    patcher.apply()
    installed = vars(base)["__init_subclass__"].__func__
    base.__init_subclass__ = classmethod(lambda cls, **kwargs: installed(cls, **kwargs))
    patcher.revert()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    assert child().greet() == "hi"
    assert marker_of(child.greet) is None
    patcher.apply()
    assert child().greet() == "HI"


def test_diamond_of_subclasses_is_patched_once():
    """However many bases lead to a class."""
    base = make_base()
    sides = [type(name, (base,), {}) for name in ("Left", "Right")]
    bottom = type("Bottom", tuple(sides), {"greet": lambda self: "hi"})
    patcher = SubclassPatcher(base, {"greet": shout})
    patcher.apply()
    assert bottom().greet() == "HI"
    assert len(patcher.overrides()) == 1


def test_class_is_not_patched_before_apply_or_after_revert():
    """As when another thread reverts while a loop checks the class of its evaluator."""
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


def test_class_may_override_one_method_and_inherit_another():
    """The inherited one is patched in its base already; each wrapper runs once."""
    base = make_base()
    base.wave = lambda self: "bye"
    patcher = SubclassPatcher(base, {"greet": exclaim, "wave": exclaim})
    patcher.apply()
    child = type("Child", (base,), {"greet": lambda self: "hi"})
    grandchild = type("Grandchild", (child,), {"wave": lambda self: "see you"})
    assert (grandchild().greet(), grandchild().wave()) == ("hi!", "see you!")
    assert patcher.notes() == []
