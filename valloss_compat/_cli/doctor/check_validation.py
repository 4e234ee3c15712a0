"""Check whether a training of a config validates, and before it ends.

mmengine's own train loop is run with the intervals of the config, and with a runner
and data that do nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Iterator

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from valloss_compat import _config
from valloss_compat._cli.doctor.report import Finding, note, ok, problem

CHECK = "config.validation"
#: mmengine expects all of these entries, or none of them.
_ENTRIES = ("val_dataloader", "val_evaluator", "val_cfg")
_WORKFLOW = """workflow is {!r}, an entry of mmcv 1.x that mmengine ignores. Fix: \
leave it out, as mmengine validates by val_cfg, val_dataloader and val_evaluator"""
_OTHER_CLASS = """{} has the class {}, which valloss_compat patches as well. A tiny \
training with it is above, if it can be built"""
_ARGUMENTS = ("val_begin", "val_interval", "dynamic_intervals")


def check_validation(
    config: Mapping[str, Any], monitors_loss: bool
) -> Iterator[Finding]:
    """Check the entries that make a training validate."""
    if "val" in str(config.get("workflow")):
        yield problem(CHECK, _WORKFLOW.format(config["workflow"]))
    missing = [name for name in _ENTRIES if config.get(name) is None]
    present = [name for name in _ENTRIES if name not in missing]
    entries = ", ".join(_ENTRIES)
    if missing and present:
        yield problem(
            CHECK,
            f"{' and '.join(present)} without {' and '.join(missing)}, but mmengine "
            f"expects all of {entries}, or none",
        )
    elif missing:
        text = f"this config has none of {entries}, so that nothing validates"
        if monitors_loss:
            yield problem(CHECK, f"{text}, but a loss is monitored. Fix: add all three")
        else:
            yield note(CHECK, text)
    else:
        yield from check_interval(config)
        yield from _check_classes(config)


def _check_classes(config: Mapping[str, Any]) -> Iterator[Finding]:
    for name, default in (("val_cfg", "ValLoop"), ("val_evaluator", "Evaluator")):
        # Runner.build_evaluator takes an entry without `metrics` for a metric.
        is_metric = name == "val_evaluator" and "metrics" not in (config[name] or ())
        if is_metric or _config.class_name(config[name]) in ("", default):
            yield ok(CHECK, f"{name} uses mmengine's {default}")
        else:
            yield note(CHECK, _OTHER_CLASS.format(name, config[name]["type"]))


class _Enough(Exception):
    """The train loop has validated, and has used all of its intervals."""


class _Nothing:
    """A runner, model or data loader that does nothing but count validations."""

    validations = 0

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)

    def run(self) -> None:
        self.validations += 1
        if self.is_last():
            raise _Enough


def check_interval(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Check whether the training ends before the first validation.

    That is only a note if the train loop is not one of mmengine's.
    """
    train_cfg = config.get("train_cfg")
    if not train_cfg:
        return
    name = _config.class_name(train_cfg)
    by_epoch = name == EpochBasedTrainLoop.__name__ or "max_epochs" in train_cfg
    cls: Any = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    limit, counter = ("max_epochs", "_epoch") if by_epoch else ("max_iters", "_iter")
    arguments = {k: train_cfg[k] for k in (limit, *_ARGUMENTS) if k in train_cfg}
    report, exception = problem, ""
    if name not in ("", cls.__name__):
        report, exception = note, f", unless {name} validates at other times"
    runner: Any = _Nothing()
    try:
        loop = cls(runner, runner, **arguments)
        loop.run_epoch = lambda: setattr(loop, "_epoch", loop._epoch + 1)
        loop.run_iter = lambda *_: setattr(loop, "_iter", loop._iter + 1)
        loop.dataloader_iterator = itertools.repeat(None)  # mmengine's may sleep
        milestones = [start for start, _ in arguments.get("dynamic_intervals") or ()]
        last = max(milestones, default=0)
        runner.is_last = lambda: getattr(loop, counter) > last
        loop.run()
    except _Enough:
        pass
    except Exception as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        text = f"{cls.__name__}({shown}) raises {type(error).__name__}: {error}"
        yield report(CHECK, f"train_cfg cannot be used: {text:.400}")
    else:
        end = f"{arguments[limit]} {limit[len('max_') :]}"
        text = f"the training ends after {end} without a validation{exception}. Fix: "
        if not runner.validations:
            yield report(CHECK, text + "lower val_interval or val_begin of train_cfg")
