"""What a loss changed in a model is put back and named.

Buffers are copied before and compared after. Parameters are copied before the
first loss of all, and from then on if that one changed any; else their version
counters are watched. That copy is in the memory of the host: a device may be full
of what is trained there.
"""

from __future__ import annotations

from typing import Any, Collection, List, Mapping, NamedTuple, Optional, Tuple

import torch

from valloss_compat._loss_forward.content import has_copy, same_bits, tree, write
from valloss_compat._loss_forward.snapshot import Attributes

#: What a module keeps its parameters or buffers in.
Tensors = Mapping[str, Optional[torch.Tensor]]


class Changes(NamedTuple):
    """What a loss changed in a model.

    Attributes:
        attributes (list[str]): Python attributes; put back.
        tensors (list[str]): Buffers and parameters, their ``requires_grad``, and
            gradients that were not there; put back.
        lost (list[str]): Parameters, buffers and gradients of which there was
            no copy.
    """

    attributes: List[str]
    tensors: List[str]
    lost: List[str]


class _Kept(NamedTuple):
    """A tensor and its copy; with the module's path: few are ever to be told."""

    path: str
    name: str
    tensor: torch.Tensor
    copy: torch.Tensor
    device: torch.device
    is_parameter: bool

    def differs(self) -> bool:
        # Not by the version: not all kernels count what they write.
        tensor, copy = self.tensor, self.copy
        return self.device != tensor.device or not same_bits(
            tensor.detach().to(copy.device), copy
        )


class ModelState:
    """The state of a model before a loss.

    Args:
        model (nn.Module): The model, without wrappers.
        whole (bool): Whether parameters are copied too.
        idle (Collection[nn.Module]): Modules of it that are not expected to run.
            Of these, version counters are watched and nothing is copied,
            until :meth:`include` says that one runs after all.

    Attributes:
        wrote (bool): Whether parameters had to be put back.
    """

    def __init__(self, model: Any, whole: bool, idle: Collection[Any] = ()) -> None:
        self._whole, self.wrote = whole, False
        self._attributes: List[Tuple[str, Attributes]] = []
        self._kept: List[_Kept] = []
        self._watched: List[Tuple[str, str, torch.Tensor, Optional[int]]] = []
        # Parameters: whether they are trained, and the version of their gradients.
        self._trained: List[Tuple[str, str, torch.Tensor, bool, Optional[int]]] = []
        self._asleep = {id(inner) for module in idle for _, inner in tree(module)}
        modules = tree(model)
        self._paths = {id(module): path for path, module in modules}
        for path, module in modules:
            self._take_flags(path, module)
            if id(module) not in self._asleep:
                self._take(path, module)
                continue
            self._watch(path, module._parameters)
            self._watch(path, module._buffers)

    def include(self, module: Any) -> None:
        """Copy the state of a module that was taken for idle, before it runs."""
        for _, inner in tree(module):
            if id(inner) in self._asleep:  # it may run a second time
                self._asleep.discard(id(inner))
                self._take(self._paths[id(inner)], inner)

    def _take(self, path: str, module: Any) -> None:
        self._attributes.append((path, Attributes(module)))
        self._keep(path, module._buffers)
        if self._whole:
            self._keep(path, module._parameters, parameters=True)
        else:
            self._watch(path, module._parameters)

    def _take_flags(self, path: str, module: Any) -> None:
        for name, tensor in module._parameters.items():
            if tensor is not None:
                trained = (tensor.requires_grad, _version(tensor.grad))
                self._trained.append((path, name, tensor, *trained))

    def _keep(self, path: str, tensors: Tensors, parameters: bool = False) -> None:
        left = {}
        for name, tensor in tensors.items():
            if tensor is None or not has_copy(tensor):
                left[name] = tensor
                continue
            device = "cpu" if parameters else tensor.device
            copied = tensor.detach().to(device, copy=True)
            kept = _Kept(path, name, tensor, copied, tensor.device, parameters)
            self._kept.append(kept)
        self._watch(path, left)

    def _watch(self, path: str, tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            if tensor is not None:
                self._watched.append((path, name, tensor, _version(tensor)))

    def restore(self) -> Changes:
        """Put back what changed since.

        Returns:
            Changes: What that was.
        """
        changes = Changes([], [], [])
        copied = {id(kept.tensor) for kept in self._kept}
        for path, name, tensor, version in self._watched:
            if _version(tensor) != version and id(tensor) not in copied:
                changes.lost.append(_full(path, name))
        with torch.no_grad():  # a tensor keeps its graph
            self._refill(changes)
            for path, attributes in self._attributes:  # views of these are right by now
                changes.attributes.extend(_full(path, n) for n in attributes.restore())
        for path, name, tensor, trained, gradient in self._trained:
            if tensor.requires_grad != trained:
                changes.tensors.append(f"{_full(path, name)}.requires_grad")
                tensor.requires_grad_(trained)
            if _version(tensor.grad) == gradient:
                continue
            if gradient is None:
                changes.tensors.append(f"{_full(path, name)}.grad")
                tensor.grad = None
            else:
                changes.lost.append(f"{_full(path, name)}.grad")
        return changes

    def _refill(self, changes: Changes) -> None:
        others = [kept for kept in self._kept if kept.differs()]
        for kept in others:
            changes.tensors.append(_full(kept.path, kept.name))
            self.wrote = self.wrote or kept.is_parameter
            write(kept.tensor, kept.copy, kept.device)
        for kept in others:  # those that are no views of others
            if kept.differs():
                kept.tensor.data = kept.copy.to(kept.device)


def _full(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _version(tensor: Optional[torch.Tensor]) -> Optional[int]:
    try:
        return None if tensor is None else tensor._version
    except RuntimeError:  # an inference tensor: nobody counts, nobody may write
        return 0
