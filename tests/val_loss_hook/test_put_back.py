"""Random states and attributes: a change is seen, and what was there put back."""

from __future__ import annotations

import torch
from torch import nn

from val_loss_hook.models import Classifier
from valloss_compat.val_loss.attributes import Attributes
from valloss_compat.val_loss.rng import RandomState, accelerators_of


def test_random_states_are_put_back():
    """Drawn or not is seen; devices beside the CPU are asked by their backend."""
    state = RandomState([torch.device("cpu")])
    assert state.same()
    drawn = torch.rand(2).tolist()
    assert not state.same()
    state.restore()
    assert state.same()
    assert torch.rand(2).tolist() == drawn
    assert accelerators_of(Classifier()) == []


def test_attributes_of_all_kinds_are_put_back():
    """Each object is the one it was, and holds what it held."""
    import collections

    import numpy as np

    module = nn.Module()
    module.values = {
        "list": [1, {"a": 2}],
        "deque": collections.deque([1]),
    }
    module.array, module.tensor = np.ones(2), (torch.ones(2), 1)
    module.plain, module.names, module.number = torch.ones(2), {"a"}, float("nan")
    module.odd, module.nothing, module.gone = object(), np.nan, [1]
    kept = dict(vars(module))
    before = Attributes(module)
    assert before.restore() == []
    module.values["list"].append(3)
    module.array[0] = 5
    module.tensor[0].zero_()
    module.plain.set_(torch.zeros(3))
    module.names.add("b")
    module.number = float("nan")
    del module.gone
    module.other = nn.Linear(1, 1)
    changed = before.restore()
    assert sorted(changed) == [
        "array",
        "gone",
        "names",
        "other",
        "plain",
        "tensor",
        "values",
    ]
    assert module.values == {
        "list": [1, {"a": 2}],
        "deque": collections.deque([1]),
    }
    assert module.array.tolist() == module.plain.tolist() == [1.0, 1.0]
    assert module.tensor[0].tolist() == [1.0, 1.0]
    assert module.names == {"a"}
    assert all(vars(module)[name] is value for name, value in kept.items())
    module.queue, module.array = collections.deque([1]), np.ones(1)
    before = Attributes(module)
    module.queue.append(2)
    module.array = np.ones(1)
    assert before.restore() == ["queue"]
    assert list(module.queue) == [1]
