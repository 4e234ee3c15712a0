"""Whether a validation loss really comes out, in this very environment."""

from __future__ import annotations

import math
import os
import tempfile
import traceback
from typing import Any, Dict, List, Mapping, Optional

from valloss_compat import _api, options
from valloss_compat._cli.doctor.findings import Finding, note, ok, problem
from valloss_compat._cli.doctor.output import silent
from valloss_compat._cli.doctor.registry import registered

#: Where to look.
_FIX = (
    "See the findings on patches: somebody replaced, or overrides, a method of "
    "mmengine's loops or evaluators without calling the one that was there"
)


def look(config: Mapping[str, Any]) -> List[Finding]:
    """Try out the validation of mmengine, and what there is in its place.

    Args:
        config (dict): A whole config, its custom imports imported; empty if there
            is none.

    Returns:
        list[Finding]: One for mmengine, for each evaluator that is loaded and can be
        built, and for the config's evaluator and loop.
    """
    loop = registered("LOOPS", config.get("val_cfg"), config)
    evaluator = registered("EVALUATOR", config.get("val_evaluator"), config)
    status = _api.status()
    if status.mode == "off" or status.plan == "unknown":
        return [note("validation", "not tried, as nothing is patched")]
    found = try_out()
    for cls in own_evaluators():
        # A library loads evaluators that want arguments; only the config has them.
        named = cls is evaluator
        settings = _settings(config["val_evaluator"]) if named else {}
        found += try_out(evaluator=cls, settings=settings, is_asked_for=named)
    if loop is not None and not loop.__module__.startswith("mmengine."):
        found += try_out(loop=loop, settings=_settings(config["val_cfg"]))
    return found


def own_evaluators() -> List[type]:
    """Loaded evaluators with a ``process`` or ``evaluate`` of their own."""
    from mmengine.evaluator import Evaluator

    classes = [Evaluator]
    for cls in classes:  # grows while it is walked
        seen = set(map(id, classes))  # a metaclass may define ==
        classes += [sub for sub in cls.__subclasses__() if id(sub) not in seen]
    return [
        cls for cls in classes[1:] if not {"process", "evaluate"}.isdisjoint(vars(cls))
    ]


def _settings(entry: Mapping[str, Any]) -> Dict[str, Any]:
    """The arguments in a config entry that a tiny training does not give itself."""
    given = ("type", "_scope_", "metrics", "runner", "dataloader", "evaluator")
    return {key: value for key, value in entry.items() if key not in given}


def try_out(
    evaluator: Optional[type] = None,
    loop: Optional[type] = None,
    settings: Optional[Mapping[str, Any]] = None,
    is_asked_for: bool = True,
) -> List[Finding]:
    """Train a real model in miniature, and compare what it reports.

    Args:
        evaluator (type, optional): Class of the evaluator. Defaults to None:
            mmengine's.
        loop (type, optional): Class of the validation loop. Defaults to None:
            mmengine's.
        settings (dict, optional): Further arguments of that class, as a config
            has them. Defaults to None: none.
        is_asked_for (bool): Whether somebody wants to know if that class cannot be
            built. Defaults to True.

    Returns:
        list[Finding]: A single one; none of a class that cannot be built, where
        nobody asks for it.
    """
    from valloss_compat._cli.doctor import trial_run  # imports mmengine

    cls = evaluator or loop
    check = f"validation.{cls.__name__}" if cls else "validation"
    who = f" with {cls.__module__}.{cls.__qualname__}" if cls else ""
    what = f"a tiny training{who}"
    environment = dict(os.environ)
    seen = None
    try:
        with tempfile.TemporaryDirectory(prefix="valloss_compat-") as folder, silent():
            seen = trial_run.run(folder, evaluator, loop, settings or {})
        error = seen.error
    except trial_run.NotBuilt as raised:
        if not is_asked_for:
            return []
        return [note(check, f"{what} was not tried: building it raised {raised}")]
    except Exception as raised:  # before there was anything to train
        error = raised
    finally:
        os.environ.clear()  # a Runner sets variables
        os.environ.update(environment)
    wrong = [] if error is None else [f"it ended with {_place(error)}"]
    weighting = options.current().weighting
    wanted = [trial_run.expected(epoch, weighting) for epoch in (0, 1)]
    if seen is not None:
        wrong += _differences(seen, wanted, sum(trial_run.SIZES))
    if wrong:
        return [problem(check, f"{what}: {'; '.join(wrong)}. {_FIX}")]
    return [
        ok(
            check,
            f"{what} reported val_loss = {wanted[0]:g} and {wanted[1]:g}, as it "
            "should; EarlyStoppingHook and CheckpointHook used it",
        )
    ]


def _place(error: Exception) -> str:
    """An exception, and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"


def _differences(seen: Any, wanted: List[float], samples: int) -> List[str]:
    """What is not as it should be, in words."""
    wrong = []
    for epoch, value in enumerate(wanted):
        metrics: Dict[str, Any] = dict(enumerate(seen.metrics)).get(epoch, {})
        got = metrics.get("val_loss")
        if got is None:
            names = ", ".join(map(repr, sorted(metrics))) or "none"
            wrong.append(
                f"there is no val_loss after epoch {epoch + 1}, where {value:g} was "
                f"expected; the metrics are {names}"
            )
        elif not math.isclose(float(got), value, rel_tol=1e-5):
            wrong.append(
                f"val_loss is {float(got):g} after epoch {epoch + 1}, but {value:g} "
                "was expected"
            )
    for who, count in (("the metric", seen.to_metrics), ("hooks", seen.to_hooks)):
        if count:
            wrong.append(
                f"{count} loss elements reached {who}, where none was expected: the "
                "model's loss element has to be taken off before"
            )
    if set(seen.samples) - {samples}:
        wrong.append(
            f"the metric got {seen.samples} predictions in the epochs, but {samples} "
            "in each were expected"
        )
    if seen.epochs != 2:
        wrong.append(
            f"EarlyStoppingHook ended the training after epoch {seen.epochs}, but 2 "
            "was expected"
        )
    if not any("val_loss" in name and "_1." in name for name in seen.best):
        wrong.append(
            f"CheckpointHook kept {seen.best or 'no best checkpoint'}, but one of "
            "epoch 1 was expected"
        )
    return wrong
