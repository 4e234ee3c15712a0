"""Verdicts of the sweep, held against reality: drawn configs run as a user runs them.

A drawn config is trained for an iteration and validated, with its own hooks, without
``ValLossHook`` and with it. The loss is compared with that of a frozen training on the
validation data, which is computed here without the package: the validation pipeline
with the annotations loaded where the training loads them.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from support.tiny import silent_visualizer
from tqdm import tqdm

from downstream.oracle import expected
from downstream.oracle.model import built, dicts, progress, seed
from downstream.oracle.reported import Count
from downstream.sweep import check, made, shipped, table, worker
from downstream.sweep.files import Files

COLUMNS = ("library", "config", "verdict", "result", "val_loss", "expected", "reason")
#: Of each library.
DRAWN = {check.ACCEPTED: 15, check.REJECTED: 5}
#: Relative, as in the oracle of models.
TOLERANCE = 1e-5
AGREES, DISAGREES, NOT_RUN = "agrees", "disagrees", "not run"
#: Transforms of a training that make targets, map or drop them.
TARGETS = (
    "BottomupGetHeatmapMask",
    "GenerateEdge",
    "GenerateTarget",
    "MMOCR2MMDet",
    "ObjectNameFilter",
    "ObjectRangeFilter",
    "PointSegClassMapping",
    "Polygon2Mask",
    "RemoveDataElement",
)
#: In mmdet3d, validations of one scale without a flip have it.
WITHOUT_FLIP = "MultiScaleFlipAug3D"


class Result(NamedTuple):
    """What became of a drawn config."""

    result: str
    val_loss: str = ""
    expected: str = ""
    reason: str = ""


class Captured(Hook):
    """Keeps the model as it is when the validation begins, with averaged weights."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.model: Any = None

    def before_val_epoch(self, runner: Any) -> None:
        progress(runner.message_hub)
        self.model = copy.deepcopy(runner.model)


def held(library: str, config: str, verdict: str, folder: Path) -> Result:
    """Run a config, and compare what it does with a verdict."""
    from valloss_compat.errors import UnsupportedError

    whole, _, batch = worker.prepared(library, config)
    scope = whole.get("default_scope") or library
    DefaultScope.get_instance(f"reality-{config}", scope_name=scope)
    whole.model = expected.without_drops(whole.model)
    for inner in dicts(whole.train_dataloader):  # these read indices of the real data
        if inner.get("type") == "CBGSDataset":  # it divides by the number of a class
            inner.update(inner.pop("dataset"))
        inner.pop("filter_cfg", None)
        if "scene_idxs" in inner:
            inner["scene_idxs"] = [0, 1]
        if inner.get("pipeline"):
            steps = inner["pipeline"]
            inner["pipeline"] = [one for one in steps if _kind(one) != "ObjectSample"]
    files = Files(folder / "files", whole.model)
    with made.records(scope, [whole.val_dataloader, whole.train_dataloader], files):
        try:
            control, _ = _trained(scope, whole, batch, folder, hook=False)
        except Exception as error:  # of made data, or of the config itself
            return Result(NOT_RUN, reason=f"without the hook: {shipped.message(error)}")
        try:
            metrics, model = _trained(scope, whole, batch, folder, hook=True)
        except UnsupportedError as error:
            agrees = verdict == check.REJECTED
            reason = shipped.one_line(error.rejection)
            return Result(AGREES if agrees else DISAGREES, reason=reason)
        number = f"{metrics['val_loss']:.7g}"
        if verdict == check.REJECTED:
            return Result(DISAGREES, number, reason="it runs")
        different = {n for n, v in control.items() if metrics[n] != v}
        if different:
            names = ", ".join(sorted(different))
            return Result(DISAGREES, number, reason=f"other metrics: {names}")
        try:
            batches = list(_training_order(whole, batch))
            if "det_head" in whole.model:
                _in_one_size(batches, whole.model)
            known = expected.losses(model, batches)
        except Exception as error:
            return Result(NOT_RUN, number, reason=f"expected: {shipped.message(error)}")
    return _compared(metrics, known)


def _compared(metrics: Dict[str, Any], known: Dict[str, float]) -> Result:
    number, right = metrics["val_loss"], known["val_loss"]
    shown = f"{number:.7g}", f"{right:.7g}"
    for name, value in known.items():
        same = math.isclose(metrics[name], value, rel_tol=TOLERANCE, abs_tol=1e-7)
        if not same or not math.isfinite(value):
            return Result(DISAGREES, *shown, f"{name}: {metrics[name]}, not {value}")
    return Result(AGREES, *shown)


def _trained(scope: str, whole: Any, batch: int, folder: Path, hook: bool) -> Any:
    """Train for an iteration that changes no parameter, and validate."""
    model = built(whole.model, scope)
    expected.drop_nothing(model)
    for module in model.modules():
        if hasattr(module, "running_mean"):
            # Of many iterations. From its first values on, features of a deep model
            # vanish, no box meets an object, and no loss of RTMDet depends on them.
            module.momentum = 1.0
    captured = Captured()
    own = [{"type": "ValLossHook"}] if hook else []
    seed(0)
    runner = Runner(
        model=model,
        work_dir=str(folder / "run"),
        train_dataloader=_loader(whole.train_dataloader, batch),
        train_cfg={"by_epoch": False, "max_iters": 1, "val_interval": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.0}},
        val_dataloader=_loader(whole.val_dataloader, batch),
        val_cfg={},
        val_evaluator=Evaluator(Count()),
        default_hooks={"logger": None, "checkpoint": None},
        custom_hooks=[*(whole.get("custom_hooks") or []), *own, captured],
        default_scope=scope,
        visualizer=silent_visualizer(),
        log_level="ERROR",
        randomness={"seed": 0},
        cfg=Config(dict(whole)),
    )
    metrics: Dict[str, Any] = {}
    evaluate = runner.val_loop.evaluator.evaluate

    def keep(size: int) -> Any:
        metrics.update(evaluate(size))
        return metrics

    runner.val_loop.evaluator.evaluate = keep
    runner.train()
    return metrics, captured.model


def _loader(config: Any, batch: int) -> Any:
    config = check.in_process(config, batch)
    config.pop("batch_sampler", None)
    return config


def _training_order(whole: Any, batch: int) -> Iterator[Any]:
    """The validation's batches with the ground truth as in a training."""
    config, scope = _loader(whole.val_dataloader, batch), whole.get("default_scope")
    training = [
        step
        for inner in dicts(whole.train_dataloader)
        for step in inner.get("pipeline") or ()
    ]
    for inner in dicts(config):
        if inner.get("pipeline"):
            inner["pipeline"] = _reordered(inner["pipeline"], training)
        if inner.get("bbox_file"):
            inner["bbox_file"] = None
        # In it, mmdet3d loads no boxes; without it, indoor scenes are drawn.
        if scope == "mmdet3d" and "test_mode" in inner and "Seg" not in _kind(inner):
            inner["test_mode"] = False
    if scope == "mmyolo":
        config["collate_fn"] = whole.train_dataloader["collate_fn"]
    return iter(Runner.build_dataloader(config, seed=0))


def _in_one_size(batches: Sequence[Any], model: Any) -> None:
    """Have mmocr draw targets as large as the input: its trainings pad no image."""
    step = model["data_preprocessor"].get("pad_size_divisor", 1)
    for batch in batches:
        sizes = np.array([image.shape[-2:] for image in batch["inputs"]])
        height, width = map(int, -(-sizes.max(0) // step) * step)
        for sample in batch["data_samples"]:
            sample.set_metainfo({"img_shape": (height, width)})


def _reordered(pipeline: Sequence[Any], training: Sequence[Any]) -> List[Any]:
    pipeline = [
        inner
        for step in pipeline
        for inner in (step["transforms"] if _kind(step) == WITHOUT_FLIP else [step])
    ]
    steps = [step for step in pipeline if not _loads(step)]
    loaders: List[Any] = []
    for step in [*filter(_loads, training), *filter(_loads, pipeline)]:
        if _kind(step) not in map(_kind, loaders):
            loaders.append(step)
    front = next((i for i, s in enumerate(steps) if not _kind(s).startswith("Load")), 0)
    there = {_kind(step) for step in steps}
    targets = [s for s in training if _kind(s) in TARGETS and _kind(s) not in there]
    *middle, packing = steps[front:]
    if training and training[-1]["type"] != packing["type"]:
        keys = {k: packing[k] for k in ("meta_keys",) if k in packing}
        packing = {**training[-1], **keys}
    elif _kind(packing) == "Pack3DDetInputs":
        packing = {**packing, "keys": training[-1]["keys"]}
    return [*steps[:front], *loaders, *middle, *targets, packing]


def _kind(step: Any) -> str:
    kind = step["type"]
    name = kind if isinstance(kind, str) else kind.__name__
    return str(name).rpartition(".")[2]


def _loads(step: Any) -> bool:
    return _kind(step).startswith("Load") and "Annotation" in _kind(step)


def drawn(verdicts: Path, library: str) -> Dict[str, List[str]]:
    """Configs of a library in a drawn order, by verdict: one of each signature."""
    rows = [
        row
        for (name, config), row in sorted(table.read(verdicts).items())
        if name == library and row["run_as"] == config
    ]
    found = {}
    for verdict in DRAWN:
        configs = [row["config"] for row in rows if row["verdict"] == verdict]
        random.Random(0).shuffle(configs)
        found[verdict] = configs
    return found


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m downstream.sweep.reality")
    parser.add_argument("library")
    parser.add_argument("tables", type=Path, help="the folder of verdicts.csv")
    options = parser.parse_args(arguments)
    library, path = options.library, options.tables / "reality.csv"
    worker.load(library)
    rows = {key: row for key, row in table.read(path).items() if key[0] != library}
    for verdict, configs in drawn(options.tables / "verdicts.csv", library).items():
        for config, result in _held_until_enough(library, verdict, configs):
            row = {"library": library, "config": config, "verdict": verdict}
            rows[library, config] = {**row, **result._asdict()}
            table.write(path, COLUMNS, rows.values(), "downstream.sweep.reality")
    counts = Counter(row["result"] for key, row in rows.items() if key[0] == library)
    print(library, ", ".join(f"{n} {name}" for name, n in counts.items()))
    return int(counts[DISAGREES] > 0)


def _held_until_enough(
    library: str, verdict: str, configs: Sequence[str]
) -> Iterator[Tuple[str, Result]]:
    """Run configs until enough of them ran."""
    enough = min(DRAWN[verdict], len(configs))
    with tqdm(total=enough, desc=f"{library} {verdict}") as bar:
        for config in configs:
            if bar.n == enough:
                return
            with tempfile.TemporaryDirectory() as folder, worker.silent():
                os.chdir(folder)
                try:
                    with worker.limit():
                        result = held(library, config, verdict, Path(folder))
                except worker.Expired as error:
                    result = Result(NOT_RUN, reason=str(error))
                os.chdir("/")
            yield config, result
            bar.update(result.result != NOT_RUN)


if __name__ == "__main__":
    sys.exit(main())
