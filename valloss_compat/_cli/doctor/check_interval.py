"""Check whether a training lasts until its first validation.

mmengine's own train loop is run with the intervals of the config, and with a runner
and data that do nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Iterator

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from valloss_compat import _config
from valloss_compat._cli.doctor.findings import Finding, note, problem

CHECK = "config.validation"
_ARGUMENTS = ("val_begin", "val_interval", "dynamic_intervals")


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
    """Check the validation interval of a config.

    Args:
        config (dict): A whole config that validates.

    Yields:
        Finding: A problem if the training ends before the first validation. Only a
        note if the train loop is not one of mmengine's.
    """
    train_cfg = config.get("train_cfg")
    if not train_cfg:
        return
    name = _config.class_name(train_cfg)
    by_epoch = name == EpochBasedTrainLoop.__name__ or "max_epochs" in train_cfg
    cls: Any = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    limit = "max_epochs" if by_epoch else "max_iters"
    names = (limit, *_ARGUMENTS)
    arguments = {key: train_cfg[key] for key in names if key in train_cfg}
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
        last, counter = max(milestones, default=0), "_epoch" if by_epoch else "_iter"
        runner.is_last = lambda: getattr(loop, counter) > last
        loop.run()
    except _Enough:
        return
    except Exception as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        text = f"{cls.__name__}({shown}) raises {type(error).__name__}: {error}"
        yield report(CHECK, f"train_cfg cannot be used: {text:.400}")
        return
    if not runner.validations:
        yield report(
            CHECK,
            f"the training ends after {arguments[limit]} {limit[len('max_') :]} "
            f"without a validation{exception}. Fix: lower val_interval or val_begin of "
            "train_cfg",
        )
