"""What a loss changed in a model is put back, bit for bit, and named.

Buffers are copied before and compared after. Parameters are copied before the
first loss of all, and from then on if that one changed any; else their version
counters are watched. That copy is in the memory of the host: a device may be full
of what is trained there.
"""

from __future__ import annotations

from typing import Any, Collection, List, Mapping, NamedTuple, Optional, Tuple

import torch

from valloss_compat.val_loss.attributes import Attributes
from valloss_compat.val_loss.tensors import has_copy, refill, same_bits
from valloss_compat.val_loss.tree import tree

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
        # Each with the module's path and its own name: few are ever to be told.
        self._kept: List[Tuple[str, str, torch.Tensor, torch.Tensor, bool]] = []
        self._watched: List[Tuple[str, str, torch.Tensor, Optional[int]]] = []
        # Parameters: whether they are trained, and the version of their gradients.
        self._trained: List[Tuple[str, str, torch.Tensor, bool, Optional[int]]] = []
        asleep = {id(inner) for module in idle for _, inner in tree(module)}
        modules = tree(model)
        self._paths = {id(module): path for path, module in modules}
        for path, module in modules:
            if id(module) not in asleep:
                self._take(path, module)
                continue
            self._watch(path, module._parameters)
            self._watch(path, module._buffers)

    def include(self, module: Any) -> None:
        """Copy the state of a module that was taken for idle, before it runs."""
        for _, inner in tree(module):
            self._take(self._paths[id(inner)], inner)

    def _take(self, path: str, module: Any) -> None:
        self._attributes.append((path, Attributes(module)))
        self._keep(path, module._buffers)
        for name, tensor in module._parameters.items():
            if tensor is not None:
                trained = (tensor.requires_grad, _version(tensor.grad))
                self._trained.append((path, name, tensor, *trained))
        if self._whole:
            self._keep(path, module._parameters, parameters=True)
        else:
            self._watch(path, module._parameters)

    def _keep(self, path: str, tensors: Tensors, parameters: bool = False) -> None:
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            if has_copy(tensor):
                device = "cpu" if parameters else tensor.device
                kept = tensor.detach().to(device, copy=True)
                self._kept.append((path, name, tensor, kept, parameters))
            else:
                self._watched.append((path, name, tensor, _version(tensor)))

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
        with torch.no_grad():  # a tensor keeps its graph
            for path, attributes in self._attributes:
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
        copied = {id(tensor) for _, _, tensor, _, _ in self._kept}
        for path, name, tensor, version in self._watched:
            if _version(tensor) != version and id(tensor) not in copied:
                changes.lost.append(_full(path, name))
        with torch.no_grad():
            for path, name, tensor, kept, parameter in self._kept:
                # Not by the version: not all kernels count what they write.
                if not same_bits(tensor.detach().to(kept.device), kept):
                    refill(tensor, kept, tensor.device)
                    self.wrote = self.wrote or parameter
                    changes.tensors.append(_full(path, name))
        return changes


def _full(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _version(tensor: Optional[torch.Tensor]) -> Optional[int]:
    try:
        return None if tensor is None else tensor._version
    except RuntimeError:  # an inference tensor: nobody counts, nobody may write
        return 0
