"""Small trainings whose validation loss is known in advance, and findings on them.

A Runner trains a model with one parameter for three epochs, validates on three
batches after each, and may stop early. Nothing is stubbed, so that the training
shows every patch of this environment.
"""

from __future__ import annotations

import glob
import math
import os
import tempfile
import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

from valloss_compat import _api
from valloss_compat._cli.doctor.class_lookup import registered
from valloss_compat._cli.doctor.report import Finding, ok, problem, silent, unchecked
from valloss_compat._patches.mmengine_api import describe_error, remedy_for
from valloss_compat._patches.subclasses import class_tree

#: Losses of the three validation batches, of two samples, two samples, and one.
_LOSSES = ({"loss_cls": 0.5, "loss_box": 0.5}, {"loss_cls": 2.0}, {"loss_cls": 3.5})
_SAMPLES = 5
#: Option ``weighting`` -> the ``val_loss`` of these: the sum of the means by name.
_EXPECTED = {"batch": 2.0 + 0.5, "sample": 1.7 + 0.5}
#: Increase of ``loss_cls`` per epoch, so that the first epoch is the best.
_RISE = 1.0
_SET_BY_TRIAL = ("type", "_scope_", "metrics", "runner", "dataloader", "evaluator")
_FIX = """Other code replaces or overrides a method of mmengine's loops or evaluators \
and does not call the original, see the findings on patches"""
_AS_EXPECTED = """ reported val_loss = {:g} and {:g}, as expected, and \
EarlyStoppingHook and CheckpointHook used it"""
_TO_METRIC = "{} loss elements reached the metric, but none was expected"
_TO_HOOKS = "{} loss elements reached hooks, but none was expected"
_COUNT = "the metric got {} predictions in the epochs, but 5 in each were expected"
_STOPPING = "EarlyStoppingHook ended the training after epoch {}, but 2 was expected"
_BEST = "CheckpointHook kept {}, but one of epoch 1 was expected"


class TrialResult(Hook):
    """The result of a trial training. As a hook, it records what hooks get."""

    epochs = 0  #: Number of epochs trained.
    metric_elements = 0  #: Number of loss elements that reached the metric.
    hook_elements = 0  #: Number of loss elements that reached the hooks.
    error: Optional[Exception] = None  #: The exception that ended the training.

    def __init__(self) -> None:
        self.metrics: List[Dict[str, Any]] = []  #: Of each epoch.
        self.samples: List[int] = []  #: Number of predictions in each epoch.
        self.best: List[str] = []  #: File names of the best checkpoints.

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Count the loss elements."""
        outputs = kwargs["outputs"]
        elements = [one for one in outputs if isinstance(one, BaseDataElement)]
        self.hook_elements += sum("loss" in one for one in elements)

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Keep the metrics."""
        self.metrics.append(dict(metrics or {}))


class BuildError(Exception):
    """The constructor of the evaluator or the loop raised its cause."""


def check_trials(config: Mapping[str, Any]) -> List[Finding]:
    """Run a trial training for each loop and evaluator that may be used.

    These are mmengine's classes, each loaded evaluator that can be built, and the
    evaluator and loop of the config (empty without one), after its custom imports.
    """
    loop = registered("LOOPS", config.get("val_cfg"), config)
    evaluator = registered("EVALUATOR", config.get("val_evaluator"), config)
    status = _api.status()
    if status.mode == "off" or status.plan == "unknown":
        return [unchecked("validation", "no tiny training, as nothing is patched")]
    findings = check_trial()
    for cls in class_tree(Evaluator)[1:]:
        if not {"process", "evaluate"}.isdisjoint(vars(cls)):
            entry = config["val_evaluator"] if cls is evaluator else None
            findings += check_trial(evaluator=cls, entry=entry)
    if loop is not None and not loop.__module__.startswith("mmengine."):
        findings += check_trial(loop=loop, entry=config["val_cfg"])
    return findings


def check_trial(
    evaluator: Optional[type] = None,
    loop: Optional[type] = None,
    entry: Optional[Mapping[str, Any]] = None,
) -> List[Finding]:
    """Run a trial training and compare its result with the expected one.

    ``entry`` is the config entry with the arguments of the evaluator or loop. Without
    one, there is no finding on a class that requires arguments.
    """
    cls = evaluator or loop
    check = f"validation.{cls.__name__}" if cls else "validation"
    subject = "a tiny training"
    subject += f" with {cls.__module__}.{cls.__qualname__}" if cls else ""
    arguments = {k: v for k, v in (entry or {}).items() if k not in _SET_BY_TRIAL}
    environment = dict(os.environ)
    result: Optional[TrialResult] = None
    try:
        with tempfile.TemporaryDirectory(prefix="valloss_compat-") as folder, silent():
            result = run_trial(folder, evaluator, loop, arguments)
        error = result.error
    except BuildError as raised:
        cause = f"{type(raised.__cause__).__name__}: {raised.__cause__}"
        text = f"no {subject[2:]}: building it raised {cause}"
        return [] if entry is None else [unchecked(check, text)]
    except Exception as raised:  # raised before the training started
        error = raised
    finally:
        os.environ.clear()  # building a Runner sets variables
        os.environ.update(environment)
    differences = [] if error is None else [f"it ended with {describe_error(error)}"]
    status = _api.status()
    first = _EXPECTED[status.options.weighting]
    if result is not None:
        differences += _differences(result, [first, first + _RISE])
    is_patched = all(patch.state == "active" for patch in status.patches)
    has_losses = result is None or all("val_loss" in one for one in result.metrics)
    if error is not None and cls is None and is_patched and has_losses:
        remedy = remedy_for(error) or "make the same training work without this package"
        text = f"{subject}: {differences[0]}. mmengine itself fails, as all patches "
        return [problem(check, f"{text}are active. Fix: {remedy}")]
    if differences:
        return [problem(check, f"{subject}: {'; '.join(differences)}. {_FIX}")]
    return [ok(check, subject + _AS_EXPECTED.format(first, first + _RISE))]


def _differences(result: TrialResult, expected: List[float]) -> List[str]:
    """Describe how a result differs from the expected one."""
    differences = []
    for epoch, loss in enumerate(expected, 1):
        metrics: Dict[str, Any] = (result.metrics[epoch - 1 :] or [{}])[0]
        reported = metrics.get("val_loss")
        if reported is None:
            names = ", ".join(map(repr, sorted(metrics))) or "none"
            differences.append(
                f"there is no val_loss after epoch {epoch}, but {loss:g} was "
                f"expected, and the metrics are {names}"
            )
        elif not math.isclose(float(reported), loss, rel_tol=1e-5):
            differences.append(
                f"val_loss is {float(reported):g} after epoch {epoch}, but {loss:g} "
                "was expected"
            )
    best = any("val_loss" in name and "_1." in name for name in result.best)
    for value, is_wrong, text in (
        (result.metric_elements, result.metric_elements, _TO_METRIC),
        (result.hook_elements, result.hook_elements, _TO_HOOKS),
        (result.samples, set(result.samples) - {_SAMPLES}, _COUNT),
        (result.epochs, result.epochs != 2, _STOPPING),
        (result.best or "no best checkpoint", not best, _BEST),
    ):
        differences += [text.format(value)] if is_wrong else []
    return differences


def run_trial(work_dir: str, evaluator: Any, loop: Any, arguments: Any) -> TrialResult:
    """Run the trial training; the result is also that of one that raised.

    Raises:
        BuildError: If the evaluator or the loop cannot be built.
    """
    result = TrialResult()
    metric = _Metric(result)
    inputs = torch.arange(float(_SAMPLES))
    data = DataLoader([{"inputs": one} for one in inputs], batch_size=2)
    val_evaluator: Any = [metric]
    try:
        if evaluator is not None:
            val_evaluator = evaluator(metrics=[metric], **arguments)
    except Exception as raised:
        raise BuildError from raised
    stopping = {"type": "EarlyStoppingHook", "monitor": "val_loss", "patience": 1}
    checkpoint = {"type": "CheckpointHook", "interval": 1, "save_best": "val_loss"}
    runner = Runner(
        model=_Model(result),
        work_dir=work_dir,
        train_dataloader=data,
        val_dataloader=data,
        train_cfg={"by_epoch": True, "max_epochs": 3, "val_interval": 1},
        val_cfg={"type": loop, **arguments} if loop else {},
        val_evaluator=val_evaluator,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[result, {**stopping, "rule": "less", "min_delta": 0.0}],
        default_hooks={"checkpoint": {**checkpoint, "rule": "less"}},
        default_scope="mmengine",
        experiment_name=uuid.uuid4().hex,
        log_level="CRITICAL",
    )
    try:
        _ = runner.val_loop  # builds it
    except Exception as raised:
        if loop is None:
            raise
        raise BuildError from raised
    try:
        runner.train()
    except Exception as raised:
        result.error = raised
    checkpoints = glob.glob(os.path.join(work_dir, "**", "best_*"), recursive=True)
    result.best = [os.path.basename(path) for path in checkpoints]
    return result


class _Model(BaseModel):
    """Returns ``_LOSSES`` and counts its epochs."""

    def __init__(self, result: TrialResult) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.result = result
        self.batch = 0

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": self.weight * inputs.mean()}
        self.result.epochs += self.batch == 0
        given = _LOSSES[self.batch].items()
        losses = {name: self.weight.detach() * 0 + value for name, value in given}
        losses["loss_cls"] += _RISE * (self.result.epochs - 1)
        self.batch = (self.batch + 1) % len(_LOSSES)
        samples = [BaseDataElement(pred=number) for number in inputs]
        return [*samples, BaseDataElement(loss=losses)]


class _Metric(BaseMetric):
    default_prefix = "doctor"

    def __init__(self, result: TrialResult) -> None:
        super().__init__()
        self.result = result

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        # The evaluator converts data samples to dicts.
        self.result.metric_elements += sum("loss" in one for one in data_samples)
        self.results.append(len(data_samples))

    def compute_metrics(self, results: List[int]) -> Dict[str, float]:
        self.result.samples.append(sum(results))
        return {"samples": float(sum(results))}
