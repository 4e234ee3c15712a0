"""What a loss changed in a model is put back, bit for bit, and named.

Buffers are copied before and compared after. Parameters are copied before the
first loss of all only, and their version counters watched from then on.
"""

from __future__ import annotations

from typing import Any, Collection, List, NamedTuple, Optional, Tuple

import torch

from valloss_compat.val_loss.attributes import Attributes, same_bits


class Changes(NamedTuple):
    """What a loss changed in a model.

    Attributes:
        attributes (list[str]): Python attributes; put back.
        tensors (list[str]): Buffers and parameters; put back.
        lost (list[str]): Parameters of which there was no copy.
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
    """

    def __init__(self, model: Any, whole: bool, idle: Collection[Any] = ()) -> None:
        self._whole = whole
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._attributes: List[Tuple[str, Attributes]] = []
        self._tensors: List[Tuple[str, torch.Tensor, int, Optional[torch.Tensor]]] = []
        asleep = {id(inner) for module in idle for inner in module.modules()}
        for path, module in model.named_modules():
            if id(module) not in asleep:
                self._take(path, module)
                continue
            for tensors in (module._parameters, module._buffers):
                for name, tensor in tensors.items():
                    self._keep(f"{path}.{name}", tensor, False)

    def include(self, module: Any) -> None:
        """Copy the state of a module that was taken for idle, before it runs."""
        for inner in module.modules():
            self._take(self._paths[id(inner)], inner)

    def _take(self, path: str, module: Any) -> None:
        self._attributes.append((path, Attributes(module)))
        start = f"{path}." if path else ""
        for name, tensor in module._buffers.items():
            self._keep(f"{start}{name}", tensor, True)
        for name, tensor in module._parameters.items():
            self._keep(f"{start}{name}", tensor, self._whole)

    def _keep(self, name: str, tensor: Optional[torch.Tensor], copy: bool) -> None:
        if tensor is not None:
            kept = tensor.detach().clone() if copy else None
            self._tensors.append((name, tensor, _version(tensor), kept))

    def restore(self) -> Changes:
        """Put back what changed since.

        Returns:
            Changes: What that was.
        """
        changes = Changes([], [], [])
        for path, attributes in self._attributes:
            names = attributes.restore()
            changes.attributes.extend(f"{path}.{n}" if path else n for n in names)
        copied = {
            id(tensor) for _, tensor, _, kept in self._tensors if kept is not None
        }
        with torch.no_grad():
            for name, tensor, version, kept in self._tensors:
                if kept is None:
                    if _version(tensor) != version and id(tensor) not in copied:
                        changes.lost.append(name)
                # Not by the version: not all kernels count what they write.
                elif not same_bits(tensor.detach(), kept):
                    tensor.copy_(kept)
                    changes.tensors.append(name)
        return changes


def _version(tensor: torch.Tensor) -> int:
    try:
        return int(tensor._version)
    except RuntimeError:  # an inference tensor: nobody counts, nobody may write
        return 0
