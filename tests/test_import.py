"""What importing the package does, seen from fresh processes."""

from __future__ import annotations

import textwrap

import pytest
from fresh import Nursery, run_cold

# Each script ends by printing whether val_loss arrives, and its value.
PRELUDE = """
import json, sys, tempfile
import torch
from mmengine.runner import loops
from mmengine.evaluator import Evaluator
NATIVE = hasattr(loops, '_update_losses')
TARGETS = [(owner, name) for owner, names in (
    (loops.ValLoop, ('run', 'run_iter', '__init_subclass__')),
    (loops.TestLoop, ('run', 'run_iter', '__init_subclass__')),
    (Evaluator, ('process', 'evaluate', '__init_subclass__')),
    (loops, ('_update_losses', '_parse_losses')),
) for name in names]
BEFORE = [vars(owner).get(name) for owner, name in TARGETS]

def untouched():
    now = [vars(owner).get(name) for owner, name in TARGETS]
    return all(one is other for one, other in zip(BEFORE, now))

def runner():
    from tiny import element, make_runner, sample
    def respond(index, inputs):
        return [sample(), element(loss=torch.tensor(index + 1.0))]
    return make_runner(tempfile.mkdtemp(), respond)
"""
REPORT = """
print(json.dumps({'native': NATIVE, 'val_loss': runner().val().get('val_loss')}))
"""


def script(body: str) -> str:
    return PRELUDE + textwrap.dedent(body)


def test_the_unpatched_control_is_unpatched(nursery: Nursery) -> None:
    """Without the import mmengine is as released: old ones report no val_loss."""
    control = nursery.run(
        script("assert 'valloss_compat' not in sys.modules")
        + REPORT
        + "assert untouched() and 'valloss_compat' not in sys.modules\n"
    ).json()
    assert control["val_loss"] == (1.5 if control["native"] else None)


def test_off_leaves_every_target_as_it_is(nursery: Nursery) -> None:
    """VALLOSS_COMPAT=off: the very same objects, and status says off."""
    nursery.run(
        script(
            """
            import valloss_compat
            assert untouched()
            assert valloss_compat.status().mode == 'off'
            assert valloss_compat.apply().mode == 'off'
            print('{}')
            """
        ),
        env={"VALLOSS_COMPAT": "off"},
    ).json()


def test_off_does_not_even_import_mmengine() -> None:
    """VALLOSS_COMPAT=off costs nothing."""
    run_cold(
        "import sys, valloss_compat\n"
        "assert not {'torch', 'mmengine'} & set(sys.modules)\nprint('{}')",
        env={"VALLOSS_COMPAT": "off"},
    ).json()


def test_parity_from_the_environment_patches_only_what_lacks_it(
    nursery: Nursery,
) -> None:
    """Native releases stay untouched, asserted with ``is``; old ones get val_loss."""
    result = nursery.run(
        script("import valloss_compat\nassert untouched() == NATIVE") + REPORT,
        env={"VALLOSS_COMPAT": "parity"},
    ).json()
    assert result["val_loss"] == 1.5


def test_import_before_mmengine() -> None:
    """In a cold process, as the first line of a train script."""
    assert run_cold("import valloss_compat" + script("") + REPORT).json() == {
        "native": pytest.approx(0.5, abs=0.5),
        "val_loss": 1.5,
    }


ORDERS = {
    "after mmengine": "import valloss_compat",
    "twice and reloaded": """
        import importlib
        import valloss_compat
        first = [vars(owner).get(name) for owner, name in TARGETS]
        importlib.reload(valloss_compat)
        import valloss_compat
        valloss_compat.apply()
        assert first == [vars(owner).get(name) for owner, name in TARGETS]
    """,
    "forgotten and imported again": """
        import valloss_compat
        first = [vars(owner).get(name) for owner, name in TARGETS]
        for name in [n for n in sys.modules if n.startswith('valloss_compat')]:
            del sys.modules[name]
        import valloss_compat
        assert first == [vars(owner).get(name) for owner, name in TARGETS]
        again = runner
        valloss_compat.revert()
        assert untouched()
        valloss_compat.apply()
    """,
    "after the runner was built": """
        built = runner()
        loop = built.build_val_loop(built._val_loop)
        built._val_loop = loop
        import valloss_compat
        runner = lambda: built
    """,
    "after a subclass was made": """
        from mmengine.registry import LOOPS
        class Mine(loops.ValLoop):
            def run_iter(self, idx, data_batch):
                with torch.no_grad():
                    outputs = self.runner.model.val_step(data_batch)
                self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        LOOPS.register_module(module=Mine)
        import valloss_compat
        plain = runner
        def runner():
            built = plain()
            built._val_loop = dict(type='Mine', dataloader=built._val_dataloader,
                                   evaluator=built._val_evaluator)
            return built
    """,
    "from custom_imports of a config": """
        from mmengine import Config
        Config(dict(custom_imports=dict(imports=['valloss_compat'])))
        assert 'valloss_compat' not in sys.modules
        path = tempfile.mkdtemp() + '/config.py'
        with open(path, 'w') as file:
            file.write("custom_imports = dict(imports=['valloss_compat'])\\n")
        Config.fromfile(path)
        assert 'valloss_compat' in sys.modules
    """,
}


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_import_order(order: str, nursery: Nursery) -> None:
    """The same val_loss whenever the package is imported."""
    assert nursery.run(script(ORDERS[order]) + REPORT).json()["val_loss"] == 1.5
