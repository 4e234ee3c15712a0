"""What a loss changed in a model is put back, bit for bit, and named.

Buffers are copied before and compared after. Parameters are copied before the
first loss of all only, and their version counters watched from then on.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

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
    """

    def __init__(self, model: Any, whole: bool) -> None:
        self._attributes = [(n, Attributes(m)) for n, m in model.named_modules()]
        self._tensors: List[Tuple[str, torch.Tensor, int, Optional[torch.Tensor]]] = []
        for name, tensor in model.named_buffers():
            self._keep(name, tensor, True)
        for name, tensor in model.named_parameters():
            self._keep(name, tensor, whole)

    def _keep(self, name: str, tensor: torch.Tensor, copy: bool) -> None:
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
        with torch.no_grad():
            for name, tensor, version, kept in self._tensors:
                if kept is None:
                    if _version(tensor) != version:
                        changes.lost.append(name)
                # Not by the version: not all kernels count what they write.
                elif not same_bits(tensor.detach(), kept):
                    tensor.copy_(kept)
                    changes.tensors.append(name)
        return changes


def _version(tensor: torch.Tensor) -> int:
    try:
        return tensor._version
    except RuntimeError:  # an inference tensor: nobody counts, nobody may write
        return 0
