"""One ``val_step`` of a model, seen from outside; then the model is as it was."""

from __future__ import annotations

from typing import Any, Callable, Tuple

#: Gets the model's own ``val_step`` and the arguments of the call.
Around = Callable[..., Any]


class StepShadow:
    """Stands before the ``val_step`` of a model for one call.

    It is put into the model's own namespace, past ``nn.Module.__setattr__``,
    and takes itself off before anything runs, so that nothing is left behind
    whatever is raised.

    Args:
        model (nn.Module): What a loop calls: the model or its wrapper.
        around (Callable): ``around(val_step, *args, **kwargs)``.
    """

    __slots__ = ("_around", "_before", "_model")

    def __init__(self, model: Any, around: Around) -> None:
        self._model = model
        self._around = around
        own = vars(model)
        # What stood on the instance (a compiled one, say), as a 0- or 1-tuple.
        self._before: Tuple[Any, ...] = (own["val_step"],) if "val_step" in own else ()
        own["val_step"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take itself off, and hand the call on."""
        self.remove()
        # Who kept this past its time gets what the model has by now.
        return self._around(self._model.val_step, *args, **kwargs)

    def remove(self) -> bool:
        """Put back what was there.

        Returns:
            bool: Whether it was still on: there was no call.
        """
        own = vars(self._model)
        if own.get("val_step") is not self:
            return False
        if self._before:
            own["val_step"] = self._before[0]
        else:
            del own["val_step"]
        return True
