"""What a row of the tables of models says."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Mapping, NamedTuple

#: A change that takes a key out of a config.
GONE = "(taken out)"
_NONE: Mapping[str, Any] = MappingProxyType({})


class Model(NamedTuple):
    """A model of a library, from a config that the library ships.

    Attributes:
        library (str): Its package.
        config (str): The path of the config below those of the library.
        changes (dict): What makes it small: ``path in config.model -> value``. A path
            that starts with ``*.`` changes that key wherever it stands.
        samples (dict): Options of the function that makes the samples.
        batch (int): Samples of a batch: 2, but where a prediction takes only 1.
        name (str): Its name, if that of the config is not clear enough.
    """

    library: str
    config: str
    changes: Mapping[str, Any] = _NONE
    samples: Mapping[str, Any] = _NONE
    batch: int = 2
    name: str = ""

    @property
    def title(self) -> str:
        """The name in the printed table and of the test."""
        return self.name or self.config.split("/")[-1][: -len(".py")]
