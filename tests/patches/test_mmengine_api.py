"""Inspection of the structure of mmengine, and its import."""

from __future__ import annotations

import importlib
import sys
import types

import pytest
from mmengine.evaluator import Evaluator
from mmengine.runner import LogProcessor, loops
from support.native import NATIVE

import valloss_compat
from valloss_compat._patches import mmengine_api
from valloss_compat._patches.mmengine_api import inspect_mmengine
from valloss_compat._patches.plan import PATCH_POINTS


@pytest.fixture
def inspect_changed():
    """Inspect mmengine with changed loops, evaluator or log processor."""

    def inspect_changed(evaluator=Evaluator, log_processor=LogProcessor, **changes):
        copy = types.ModuleType(loops.__name__)
        vars(copy).update(vars(loops))
        for name, value in changes.items():
            if value is None:
                vars(copy).pop(name, None)
            else:
                setattr(copy, name, value)
        names = ("BaseLoop", "ValLoop", "TestLoop")
        targets = {
            f"mmengine.runner.loops:{name}": getattr(copy, name, None) for name in names
        }
        return inspect_mmengine(
            {
                "mmengine.runner.loops": copy,
                "mmengine.evaluator:Evaluator": evaluator,
                "mmengine.runner:LogProcessor": log_processor,
                **targets,
            }
        )

    return inspect_changed


def compiled(source, name, module=loops):
    """Compile a function that seems to stand in a module of mmengine."""
    namespace = {}
    exec(source, namespace)
    return types.FunctionType(namespace[name].__code__, vars(module), name)


def changed(run_iter):
    """Return mmengine's ValLoop with another ``run_iter``."""
    names = {"run_iter": run_iter, "__module__": loops.__name__}
    return type("ValLoop", (loops.ValLoop,), names)


def test_installed_mmengine_is_known(inspect_changed):
    """As every release of the matrix is."""
    assert inspect_changed() == (NATIVE, "")


def test_native_is_decided_by_what_the_loops_call(inspect_changed):
    """Not by helpers in the module, which the patches add, nor by the version."""
    valloss_compat.apply(mode="default")
    assert hasattr(loops, "_update_losses")
    assert inspect_changed() == (NATIVE, "")
    if not NATIVE:
        return
    found = inspect_changed(_parse_losses=None)
    assert found == (True, "only one of the helpers is there, _update_losses")
    old = {}
    for stage, name in (("val", "ValLoop"), ("test", "TestLoop")):
        source = RUN_ITER.format(**{**NAMES, "step": f"{stage}_step"})
        run = compiled("def run(self): self.evaluator.evaluate(1)", "run")
        own = {"run_iter": compiled(source, "run_iter"), "run": run}
        own.update({"val_loss": run, "__module__": loops.__name__})
        old[name] = type(name, (loops.BaseLoop,), own)
    found = inspect_changed(**old)
    assert found == (False, LOSSES.format("ValLoop", "val_loss"))


LOSSES = "{} handles a loss ({}) without the known helpers"


NO_LONGER = "ValLoop.run_iter no longer calls {}"


RUN_ITER = """
def run_iter(self, idx, batch):
    outputs = self.runner.model.{step}(batch)
    self.evaluator.{process}(data_samples=outputs)
    self.runner.{call_hook}('after_val_iter')
"""


NAMES = {"step": "val_step", "process": "process", "call_hook": "call_hook"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"step": "validation_step"}, NO_LONGER.format("val_step")),
        ({"process": "add"}, NO_LONGER.format("process")),
        ({"call_hook": "hooks"}, NO_LONGER.format("call_hook")),
    ],
)
def test_loop_that_no_longer_calls_a_method_is_a_problem(
    inspect_changed, source, problem
):
    """The problem names the method."""
    run_iter = compiled(RUN_ITER.format(**{**NAMES, **source}), "run_iter")
    assert inspect_changed(ValLoop=changed(run_iter)).problem == problem


def test_missing_class_or_method_is_a_problem(inspect_changed):
    """The problem names it; nothing raises."""
    gone = "there is no {}"
    assert inspect_changed(ValLoop=None).problem == gone.format("ValLoop.run_iter")
    assert inspect_changed(BaseLoop=None).problem == gone.format("BaseLoop")
    assert inspect_changed(evaluator=None).problem == gone.format("Evaluator.process")
    assert inspect_changed(evaluator=object).problem == gone.format("Evaluator.process")
    assert inspect_changed(log_processor=None).problem == gone.format(
        "LogProcessor.get_log_after_epoch"
    )


def test_evaluator_with_other_arguments_is_a_problem(
    inspect_changed,
):
    """The wrapper finds the result by the name of the argument."""
    source = "def process(self, outputs, data_batch=None): pass"
    module = sys.modules[Evaluator.__module__]
    process = compiled(source, "process", module)
    changed = type("Evaluator", (Evaluator,), {"process": process})
    changed.__module__ = Evaluator.__module__
    assert inspect_changed(evaluator=changed).problem == (
        "Evaluator.process takes ('outputs', 'data_batch'), no data_samples"
    )


@pytest.mark.skipif(not NATIVE, reason="no helpers before mmengine 0.10.5")
def test_helpers_with_other_arguments_or_callers_are_a_problem(
    inspect_changed,
):
    """The loops pass other arguments, or do not call them at all."""
    for names in (("results", "losses"), ("losses", "outputs")):
        helper = compiled(f"def helper({', '.join(names)}): pass", "helper")
        assert inspect_changed(_update_losses=helper).problem == (
            f"_update_losses takes {names}, but ('outputs', 'losses') are expected"
        )
    run_iter = compiled(
        "def run_iter(it): it.val_step, it.process, it.call_hook, it.val_loss",
        "run_iter",
    )
    assert inspect_changed(ValLoop=changed(run_iter)).problem == NO_LONGER.format(
        "_update_losses"
    )


def test_wrapper_of_another_library_is_no_problem(inspect_changed):
    """It hides the code, which is no reason not to patch."""
    source = "def wrapper(self, *args): pass"
    elsewhere = compiled(source, "wrapper", types)
    for wrapper in (lambda self, *args: None, len, elsewhere):
        assert inspect_changed(ValLoop=changed(wrapper)).problem == ""
        names = {"process": wrapper, "__module__": Evaluator.__module__}
        assert inspect_changed(evaluator=type("Own", (Evaluator,), names)).problem == ""
        if NATIVE:
            assert inspect_changed(_update_losses=wrapper).problem == ""


@pytest.fixture
def load(monkeypatch):
    """Load mmengine, where the import of one module fails."""

    def load(module, error):
        def import_module(name):
            if name == module:
                raise error
            return importlib.import_module(name)

        fake = types.SimpleNamespace(import_module=import_module)
        monkeypatch.setattr(mmengine_api, "importlib", fake)
        return mmengine_api.import_targets(point.target for point in PATCH_POINTS)

    return load


def missing(name):
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_moved_module_has_no_targets(load):
    """Only without ``mmengine.runner`` there is nothing to patch."""
    for place in ("mmengine.runner.loops", "mmengine.evaluator"):
        targets = load(place, missing(place))
        absent = {name for name, target in targets.items() if target is None}
        absent -= {"mmengine.runner:FlexibleRunner", "mmengine.model:BaseTTAModel"}
        assert {name.partition(":")[0] for name in absent} == {place}
        assert targets["mmengine.runner:LogProcessor"] is LogProcessor
    with pytest.raises(valloss_compat.UnusableMMEngineError) as caught:
        load("mmengine.runner", missing("mmengine.runner"))
    assert caught.value.name == "mmengine.runner"


@pytest.mark.parametrize(
    ("error", "name", "remedy"),
    [
        (missing("torchvision.ops"), "torchvision.ops", "install the torchvision"),
        (missing("yapf"), "yapf", "pip install 'yapf"),
        (AttributeError("odd"), "mmengine", "make `import mmengine.runner` work"),
    ],
)
def test_failed_import_of_mmengine_names_module_and_remedy(load, error, name, remedy):
    """The module as in any ImportError, the remedy in the message."""
    with pytest.raises(valloss_compat.UnusableMMEngineError) as caught:
        load("mmengine.runner.loops", error)
    assert caught.value.name == name
    assert f"Fix: {remedy}" in str(caught.value)
