"""Check whether a config drops hooks or imports of its bases.

mmengine merges dicts and replaces lists: ``custom_hooks = [...]`` in a child config
drops the custom hooks of its base, and ``custom_imports`` the imports of its base.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple

from mmengine.config import Config

from valloss_compat import _config
from valloss_compat._cli.doctor.check_config import check_types, is_of_this_package
from valloss_compat._cli.doctor.config_file import custom_imports
from valloss_compat._cli.doctor.report import Finding, note, problem

CHECK = "config.bases"
#: Hooks that a user adds for the validation loss -> their names in default_hooks.
_ADDED_HOOKS = {"ValLossHook": "val_loss", "EarlyStoppingHook": "early_stopping"}
#: What is lost, the text, how to keep it, and the fix if it is a problem.
_Lost = Tuple[List[str], str, str, str]


class ConfigFile(NamedTuple):
    """One file of a config."""

    name: str  #: Its path.
    contents: Mapping[str, Any]  #: Its entries, merged with those of its bases.
    bases: List[Any]  #: The ``ConfigFile`` of each file in its ``_base_``.


@contextlib.contextmanager
def record_files() -> Iterator[List[ConfigFile]]:
    """Record the files that mmengine reads for each config within the context.

    mmengine keeps only the merged result. Reading the bases once more would run their
    code twice, and ``_base_`` may have placeholders or a package name to resolve.
    Configs in the new style have none, as their bases are imported.
    """
    files: List[List[ConfigFile]] = [[]]  # of each file that is being read
    # A private function, which all releases have: without it nothing is recorded.
    read: Any = getattr(Config, "_file2dict", None)

    def record(filename: str, *args: Any, **kwargs: Any) -> Any:
        files.append([])
        result = read(filename, *args, **kwargs)
        bases = files.pop()
        files[-1].append(ConfigFile(filename, result[0], bases))
        return result

    Config._file2dict = staticmethod(record)
    try:
        yield files[0]
    finally:
        Config._file2dict = staticmethod(read)


def check_bases(files: Sequence[ConfigFile]) -> Iterator[Finding]:
    """Check the files of a config for lost entries of their bases.

    A problem is a list that was written to add the validation loss. Other lists may
    leave entries out on purpose, as 80 shipped configs of mmpose and mmdet do: a note
    for the config itself, and nothing for its bases.
    """
    for root in files:
        pending = [root]
        for file in pending:  # grows during the iteration
            pending += file.bases
            for check in (_check_hooks, _check_imports):
                lost, text, keep, fix = check(file, root)
                if lost and fix:
                    yield problem(CHECK, f"{text}. Fix: {fix}")
                elif lost and file is root:
                    yield note(CHECK, f"{text}. If that is not intended: {keep}")


def _check_hooks(file: ConfigFile, root: ConfigFile) -> _Lost:
    own = _custom_hooks(file.contents)
    kept = {*_hooks(file.contents), *_hooks(root.contents)}
    lost = [name for base in file.bases for name in _custom_hooks(base.contents)]
    lost = [name for name in dict.fromkeys(lost) if name not in kept]
    text = f"custom_hooks in {file.name} replaces the list of its base, so that the "
    text += f"training loses {', '.join(lost)}"
    # The other formats have no `_base_` to refer to.
    repeat = "[*_base_.custom_hooks, ...]" if file.name.endswith(".py") else "[...]"
    keep = f"repeat the hooks of the base in custom_hooks={repeat}"
    added = ", ".join(
        f"{key}=dict(type='{name}', ...)"
        for name, key in _ADDED_HOOKS.items()
        if name in own
    )
    fix = f"default_hooks=dict({added}), which is merged with the base, or {keep}"
    return lost, text, keep, added and fix


def _check_imports(file: ConfigFile, root: ConfigFile) -> _Lost:
    own = custom_imports(file.contents)
    kept = [f"{name}." for name in (*own, *custom_imports(root.contents))]
    lost = [
        name
        for base in file.bases
        for name in custom_imports(base.contents)
        # The import of a module imports the packages that it is in.
        if not any(other.startswith(f"{name}.") for other in kept)
        # A missing import of this package is reported by check_config.
        and not is_of_this_package(name)
    ]
    text = f"custom_imports in {file.name} replaces the imports of its base, so that "
    text += f"{', '.join(lost)} would not be imported"
    keep = f"imports={lost + own}"
    fix = f"{keep}, or leave custom_imports out and start the train script with "
    fix += "`python -m valloss_compat run`"
    return lost, text, keep, fix if any(map(is_of_this_package, own)) else ""


def _hooks(contents: Mapping[str, Any]) -> List[str]:
    """Return the class names of the hooks that a Runner builds from a config."""
    _, checked = check_types(contents)
    return [_config.class_name(hook) for hook in _config.hooks(checked)]


def _custom_hooks(contents: Mapping[str, Any]) -> List[str]:
    return _hooks({"custom_hooks": contents.get("custom_hooks")})
