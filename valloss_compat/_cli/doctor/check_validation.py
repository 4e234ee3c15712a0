"""Check by trial trainings that a validation reports the right loss."""

from __future__ import annotations

import math
import os
import tempfile
import traceback
from typing import Any, Dict, List, Mapping, Optional

from mmengine.evaluator import Evaluator

from valloss_compat import _api, options
from valloss_compat._cli.doctor import trial_run
from valloss_compat._cli.doctor.class_lookup import registered
from valloss_compat._cli.doctor.findings import Finding, ok, problem, unchecked
from valloss_compat._cli.doctor.output import silent
from valloss_compat._patches.mmengine_api import remedy_for
from valloss_compat._patches.subclasses import class_tree

_FIX = (
    "Other code replaces or overrides a method of mmengine's loops or evaluators and "
    "does not call the original, see the findings on patches"
)


def check_validation(config: Mapping[str, Any]) -> List[Finding]:
    """Run a trial training for each loop and evaluator that may be used.

    Args:
        config (dict): A whole config, after its custom imports. Empty without one.

    Returns:
        list[Finding]: One for mmengine's classes, one for each loaded evaluator that
        can be built, and one for the config's evaluator and loop.
    """
    loop = registered("LOOPS", config.get("val_cfg"), config)
    evaluator = registered("EVALUATOR", config.get("val_evaluator"), config)
    status = _api.status()
    if status.mode == "off" or status.plan == "unknown":
        return [unchecked("validation", "no tiny training, as nothing is patched")]
    findings = check_trial()
    for cls in evaluators_to_try():
        # Loaded evaluators may require arguments, which only the config has.
        is_configured = cls is evaluator
        arguments = _trial_arguments(config["val_evaluator"]) if is_configured else {}
        findings += check_trial(
            evaluator=cls, arguments=arguments, report_build_error=is_configured
        )
    if loop is not None and not loop.__module__.startswith("mmengine."):
        findings += check_trial(
            loop=loop, arguments=_trial_arguments(config["val_cfg"])
        )
    return findings


def evaluators_to_try() -> List[type]:
    """Return loaded evaluator classes that override ``process`` or ``evaluate``."""
    return [
        cls
        for cls in class_tree(Evaluator)[1:]
        if not {"process", "evaluate"}.isdisjoint(vars(cls))
    ]


def _trial_arguments(entry: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the arguments in a config entry that the trial does not set."""
    set_by_trial = ("type", "_scope_", "metrics", "runner", "dataloader", "evaluator")
    return {key: value for key, value in entry.items() if key not in set_by_trial}


def check_trial(
    evaluator: Optional[type] = None,
    loop: Optional[type] = None,
    arguments: Optional[Mapping[str, Any]] = None,
    report_build_error: bool = True,
) -> List[Finding]:
    """Run a trial training and compare its result with the expected one.

    Args:
        evaluator (type, optional): Class of the evaluator. Defaults to None:
            mmengine's.
        loop (type, optional): Class of the validation loop. Defaults to None:
            mmengine's.
        arguments (dict, optional): Further arguments of that class, as a config
            has them. Defaults to None: none.
        report_build_error (bool): Whether to report that the class cannot be built.
            Defaults to True.

    Returns:
        list[Finding]: One finding, or none if the class cannot be built and
        ``report_build_error`` is False.
    """
    cls = evaluator or loop
    check = f"validation.{cls.__name__}" if cls else "validation"
    class_text = f" with {cls.__module__}.{cls.__qualname__}" if cls else ""
    subject = f"a tiny training{class_text}"
    environment = dict(os.environ)
    result = None
    try:
        with tempfile.TemporaryDirectory(prefix="valloss_compat-") as folder, silent():
            result = trial_run.run_trial(folder, evaluator, loop, arguments or {})
        error = result.error
    except trial_run.BuildError as raised:
        if not report_build_error:
            return []
        return [unchecked(check, f"no {subject[2:]}: building it raised {raised}")]
    except Exception as raised:  # raised before the training started
        error = raised
    finally:
        os.environ.clear()  # building a Runner sets variables
        os.environ.update(environment)
    differences = [] if error is None else [f"it ended with {_describe_error(error)}"]
    weighting = options.current().weighting
    expected = [trial_run.expected_loss(epoch, weighting) for epoch in (0, 1)]
    if result is not None:
        differences += _differences(result, expected, sum(trial_run.SIZES))
    metrics = [] if result is None else result.metrics
    is_patched = all(patch.state == "active" for patch in _api.status().patches)
    has_losses = all("val_loss" in epoch for epoch in metrics)
    if error is not None and cls is None and is_patched and has_losses:
        remedy = remedy_for(error) or "make the same training work without this package"
        text = (
            f"{subject}: {differences[0]}. mmengine itself fails, as all patches are "
        )
        return [problem(check, f"{text}active. Fix: {remedy}")]
    if differences:
        return [problem(check, f"{subject}: {'; '.join(differences)}. {_FIX}")]
    return [
        ok(
            check,
            f"{subject} reported val_loss = {expected[0]:g} and {expected[1]:g}, as "
            "expected, and EarlyStoppingHook and CheckpointHook used it",
        )
    ]


def _describe_error(error: Exception) -> str:
    """Describe an exception and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"


def _differences(result: Any, expected: List[float], samples: int) -> List[str]:
    """Describe how a result differs from the expected one."""
    differences = []
    for epoch, value in enumerate(expected):
        metrics: Dict[str, Any] = dict(enumerate(result.metrics)).get(epoch, {})
        reported = metrics.get("val_loss")
        if reported is None:
            names = ", ".join(map(repr, sorted(metrics))) or "none"
            differences.append(
                f"there is no val_loss after epoch {epoch + 1}, but {value:g} was "
                f"expected, and the metrics are {names}"
            )
        elif not math.isclose(float(reported), value, rel_tol=1e-5):
            differences.append(
                f"val_loss is {float(reported):g} after epoch {epoch + 1}, but "
                f"{value:g} was expected"
            )
    for receiver, count in (
        ("the metric", result.metric_elements),
        ("hooks", result.hook_elements),
    ):
        if count:
            differences.append(
                f"{count} loss elements reached {receiver}, but none was expected"
            )
    if set(result.samples) - {samples}:
        differences.append(
            f"the metric got {result.samples} predictions in the epochs, but {samples} "
            "in each were expected"
        )
    if result.epochs != 2:
        differences.append(
            f"EarlyStoppingHook ended the training after epoch {result.epochs}, but 2 "
            "was expected"
        )
    if not any("val_loss" in name and "_1." in name for name in result.best):
        differences.append(
            f"CheckpointHook kept {result.best or 'no best checkpoint'}, but one of "
            "epoch 1 was expected"
        )
    return differences
