"""Whether the loss of a model is a function of the batch: checked where it runs.

One mechanism, used before a training, on the first batch of each validation, and by
the doctor. It needs no knowledge of the model.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Iterable, List, Optional, Set, Tuple

import torch
from mmengine.dist import all_gather_object
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn
from torch.nn.modules import module as torch_module

from valloss_compat._libraries.models import crop_size
from valloss_compat._loss_forward.content import alike
from valloss_compat._loss_forward.forward import (
    Losses,
    LossForward,
    copy_batch,
    on_all_ranks,
    raise_on_all_ranks,
)
from valloss_compat._loss_forward.isolation import RandomState, Restoring
from valloss_compat._loss_forward.replica import Replica
from valloss_compat._loss_forward.reuse import ForwardCache, reads_training
from valloss_compat.errors import UnsupportedError

#: Relative difference up to which two runs are the same loss: some CUDA kernels add
#: up in another order each time.
_TOLERANCE = 1e-4
#: The same, absolute, for losses near zero.
_NEGLIGIBLE = 1e-6


def check_batch(
    forward: LossForward, batch: Any, cache: ForwardCache
) -> Tuple[Losses, str]:
    """Return the losses of a batch, computed several times, and a line for the log.

    ``forward`` has not run yet, and gets the noise, crop and state that are found.
    Modules that cannot be reused are removed from ``cache``. The batch, as the data
    loader gave it, is not changed.
    """

    def run(**options: Any) -> Losses:
        return forward.losses_of(copy_batch(batch, forward.name), **options)

    losses, drew = _first_run(forward, run, cache)
    if losses and not any("loss" in name for name in losses):
        raise UnsupportedError(
            forward.name,
            f"mode 'loss' returned {', '.join(losses)}, but val_loss is the sum of "
            "the losses with 'loss' in their names, as in a training",
            "rename the losses, for example to loss_cls",
        )
    again = on_all_ranks(run)
    found = "mode 'loss' returned {}, then {} for the same batch and seed"
    reject_difference(losses, again, forward.name, found)
    deterministic = alike(losses, again)
    # On all ranks or on none, as a loss may wait for all of them.
    if any(all_gather_object(bool(cache.names))):
        reuse = cache.answering(forward.replica.model)
        with_reuse = on_all_ranks(lambda: run(contexts=[reuse]))
        if not deterministic or not alike(losses, with_reuse):
            cache.names.clear()
    parts = ["deterministic" if deterministic else "not deterministic"]
    if drew:
        parts.append("draws random numbers (each batch starts from one seed)")
    changed = [change.path for change in forward.replica.changes]
    if changed:
        names = ", ".join(changed[:3]) + " ..." * (len(changed) > 3)
        parts.append(f"changes {names} (restored before each batch)")
    if forward.noise:
        parts.append(f"without the noise of {', '.join(sorted(forward.noise))}")
    if forward.crop is not None:
        size = " x ".join(map(str, forward.crop))
        whole = "because the whole image raises"
        parts.append(f"on the central {size} of each image, {whole}")
    reused = ", ".join(sorted(cache.names)) or "nothing"
    parts.append(f"reuses {reused} of the predictions")
    return losses, f"ValLossHook: mode 'loss' of {forward.name}: {'; '.join(parts)}"


def reject_difference(one: Losses, other: Losses, model: str, found: str) -> None:
    """Reject a model that gave two results for one batch, on any rank.

    ``found`` has a ``{}`` for each result.
    """
    error = None
    if not _close(one, other):  # to show a loss waits for its device
        error = UnsupportedError(
            model,
            found.format(_shown(one), _shown(other)),
            "make the loss depend on the batch alone, not on the clock or on earlier "
            "batches",
        )
    raise_on_all_ranks(error)


def _first_run(
    forward: LossForward, run: Callable[..., Losses], cache: ForwardCache
) -> Tuple[Losses, bool]:
    """Run until noise is off and, in slide mode, the image is of a size that suits.

    Return the losses, and whether random numbers were drawn for them.
    """
    untouched = forward.make_replica()
    drawing_in_both_modes: Set[str] = set()  # that is what these modules are for
    while True:
        trace = ModuleTrace(forward.replica, forward.devices)
        reuse = cache.answering(forward.replica.model, verify=trace.assigned)
        error, losses = None, {}
        try:
            losses = run(content=True, contexts=[trace, reuse])
            trace.reject_escape(forward.name)
        except UnsupportedError as raised:
            error = raised
        forward.replica.find_changes(untouched)
        size = None if forward.crop else crop_size(forward.replica.model)
        if size is not None and any(all_gather_object(bool(error))):
            forward.crop = size
            continue
        raise_on_all_ranks(error)
        noise, drawing = (
            {path for paths in all_gather_object(sorted(found)) for path in paths}
            for found in (trace.noise, trace.drawing)
        )
        drawing_in_both_modes |= forward.noise & drawing
        noise = (forward.noise | noise) - drawing_in_both_modes
        if noise == forward.noise:
            cache.names &= cache.used
            return losses, trace.drew
        forward.freeze(noise)


def _close(one: Losses, other: Losses) -> bool:
    """Compare two results but for rounding. NaN equals itself, and no number."""
    limits = {"rel_tol": _TOLERANCE, "abs_tol": _NEGLIGIBLE}
    pairs = [(float(a), float(b)) for a, b in zip(one.values(), other.values())]
    return list(one) == list(other) and all(
        math.isclose(a, b, **limits) or (a != a and b != b) for a, b in pairs
    )


def _shown(losses: Losses) -> str:
    shown = [f"{name}={float(value):.6g}" for name, value in losses.items()]
    return ", ".join(shown) or "no loss"


def ground_truth_of(batch: Any) -> List[Tuple[Any, str]]:
    """Return each data sample in a batch with each of its fields of ground truth."""
    if isinstance(batch, BaseDataElement):
        names = list(batch.keys())
        return [(batch, name) for name in names if name.startswith("gt")]
    if isinstance(batch, dict):
        batch = list(batch.values())
    if isinstance(batch, (list, tuple)):
        return [found for inner in batch for found in ground_truth_of(inner)]
    return []


def has_objects(batch: Any) -> Optional[bool]:
    """Return whether a batch has ground truth; None where that cannot be known."""
    found = [sample.get(name) for sample, name in ground_truth_of(batch)]
    counts = [len(one) if isinstance(one, InstanceData) else 1 for one in found]
    return any(counts) if found else None


def needs_ground_truth(forward: LossForward, batch: Any, losses: Losses) -> bool:
    """Return whether the losses of a batch change without its ground truth.

    The batch is changed. Nothing is reused, as the loss may have written into it.
    """
    for sample, name in ground_truth_of(batch):
        value = sample.get(name)
        if not isinstance(value, InstanceData):
            delattr(sample, name)
        elif len(value):
            try:
                setattr(sample, name, value[torch.zeros(len(value), dtype=torch.bool)])
            except Exception:  # a field with a class of its own
                delattr(sample, name)
    try:
        without = forward.losses_of(batch)
    except UnsupportedError:
        return True
    # The losses of a training that diverged tell nothing.
    finite = all(math.isfinite(float(value)) for value in losses.values())
    return not finite or not alike(losses, without)


class ModuleTrace(Restoring):
    """A context that watches the modules of a replica, and of its original."""

    def __init__(self, replica: Replica, devices: Iterable[torch.device] = ()) -> None:
        self.drew = False  # random numbers, in modules or elsewhere
        #: Paths of the innermost modules that drew random numbers.
        self.drawing: Set[str] = set()
        #: Those of them that read ``training`` and return one tensor of the size they
        #: got: they add noise, as dropout, if they draw in training mode alone.
        self.noise: Set[str] = set()
        #: Ids of modules of which an attribute was assigned.
        self.assigned: List[int] = []
        self._ran: List[int] = []  # ids of modules
        self._originals = {id(one): path for path, one, _ in replica.modules}
        self._paths = {id(copied): path for path, _, copied in replica.modules}
        self._devices = tuple(devices)
        #: Modules with the random state before them; None if one within them drew.
        self._running: List[Tuple[Any, Optional[RandomState]]] = []
        self._handles: List[Any] = []
        self._assign = nn.Module.__setattr__

    def __enter__(self) -> ModuleTrace:
        assign = self._assign

        def traced(module: Any, name: str, value: Any) -> None:
            self.assigned.append(id(module))
            assign(module, name, value)

        add_pre_hook = torch_module.register_module_forward_pre_hook
        add_hook = torch_module.register_module_forward_hook
        # Each in one line: what an interrupt separates would not be removed.
        self._handles.append(add_pre_hook(self._before))
        self._handles.append(add_hook(self._after))
        self._start = RandomState(self._devices)
        nn.Module.__setattr__ = traced  # type: ignore[assignment, unused-ignore]
        return self

    def __exit__(self, *error: Any) -> None:
        self.drew = not self._start.same()
        self.restore()

    def restore(self) -> None:
        """Stop watching."""
        nn.Module.__setattr__ = self._assign  # type: ignore[method-assign, unused-ignore]
        for handle in self._handles:
            handle.remove()

    def _before(self, module: Any, args: Any) -> None:
        self._ran.append(id(module))
        if id(module) in self._paths:
            self._running.append((module, RandomState(self._devices)))

    def _after(self, module: Any, args: Any, output: Any) -> None:
        if not self._running or self._running[-1][0] is not module:
            return
        before = self._running.pop()[1]
        if before is not None and before.same():
            return
        if self._running:
            self._running[-1] = (self._running[-1][0], None)
        if before is None:  # a module within it drew
            return
        self.drawing.add(self._paths[id(module)])
        size = getattr(args[0], "shape", None) if args else None
        if (
            isinstance(output, torch.Tensor)
            and output.shape == size
            and any(map(reads_training, type(module).__mro__))
        ):
            self.noise.add(self._paths[id(module)])

    def reject_escape(self, model: str) -> None:
        """Reject a model whose replica runs or changes modules of the original."""
        for module in (*self._ran, *self.assigned):
            if module in self._originals:
                raise UnsupportedError(
                    f"{model}.{self._originals[module]}",
                    "a function refers to this module directly, so that mode 'loss' "
                    "would run the training's module instead of its copy",
                    "refer to the module by an attribute of the model",
                )
