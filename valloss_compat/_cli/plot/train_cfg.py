"""How long a training was to be: ``train_cfg`` of the config in its work dir.

The dumped config is parsed and never executed: neither mmengine nor what the
config imports needs to be there.
"""

from __future__ import annotations

import ast
import glob
import os
from typing import Any, Dict, List, NamedTuple, Optional


class Planned(NamedTuple):
    """What a ``train_cfg`` says; None where it does not.

    Attributes:
        max_epochs (int, optional): Epochs, of an epoch-based training.
        max_iters (int, optional): Iterations, of an iteration-based one.
    """

    max_epochs: Optional[int] = None
    max_iters: Optional[int] = None


def find_planned(scalars: str) -> Planned:
    """The plan of the training that wrote a file.

    Args:
        scalars (str): Its ``scalars.json``.

    Returns:
        Planned: Of the first config that tells: ``config.py`` beside the file, or
        what ``Runner.dump_config`` wrote into the work dir.
    """
    for path in _configs(scalars):
        try:
            with open(path, encoding="utf-8") as file:
                values = _find(ast.parse(file.read()))
        except (OSError, SyntaxError, ValueError):
            continue
        planned = Planned(*(_number(values.get(name)) for name in Planned._fields))
        if planned != Planned():
            return planned
    return Planned()


def _configs(scalars: str) -> List[str]:
    vis_data = os.path.dirname(os.path.abspath(scalars))
    start = os.path.dirname(vis_data)
    work_dir, timestamp = os.path.split(start)
    dumped = glob.glob(os.path.join(glob.escape(work_dir), "*.py"))
    named = os.path.join(work_dir, f"{timestamp}.py")
    # Of several, each may be of another training in the same work dir.
    others = dumped if len(dumped) == 1 else []
    return [os.path.join(vis_data, "config.py"), named, *others]


def _find(module: ast.Module) -> Dict[str, Any]:
    """The plain values of ``train_cfg = dict(...)`` at the top of a config."""
    for statement in reversed(module.body):
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "train_cfg"
            for target in statement.targets
        ):
            return _plain(statement.value)
    return {}


def _plain(value: ast.AST) -> Dict[str, Any]:
    """Of ``dict(a=1)`` or ``{'a': 1}``; what is no literal is None."""
    if isinstance(value, ast.Call):
        return {str(word.arg): _literal(word.value) for word in value.keywords}
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values)
        return {str(_literal(key)): _literal(item) for key, item in pairs}
    return {}


def _literal(node: Optional[ast.AST]) -> Any:
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]
    except ValueError:
        return None


def _number(value: Any) -> Optional[int]:
    return value if type(value) is int and value > 0 else None
