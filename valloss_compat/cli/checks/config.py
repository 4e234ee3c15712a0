"""Whether a config will have a validation loss, and what stands in its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import (
    Any,
    Callable,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

from valloss_compat import adapters
from valloss_compat.adapters import facts
from valloss_compat.cli.checks import hook_types, monitor, pipelines, shapes
from valloss_compat.cli.checks import val_loss_hook as hook
from valloss_compat.cli.checks.config_file import custom_imports
from valloss_compat.cli.checks.findings import Finding, note, ok, problem
from valloss_compat.cli.checks.monitor import kind

#: The three that a validation needs, or none of them.
_VALIDATION = ("val_dataloader", "val_evaluator", "val_cfg")
#: Where a model that wraps another one keeps it: mmdet's semi-supervised
#: detectors, mmrazor's algorithms, mmengine's test-time augmentation.
_WRAPPED = ("detector", "architecture", "module", "model", "segmentor")
#: Libraries none of whose own models appends a loss element.
_LIBRARIES = (
    "mmaction",
    "mmagic",
    "mmcls",
    "mmdet",
    "mmdet3d",
    "mmocr",
    "mmpose",
    "mmpretrain",
    "mmrazor",
    "mmrotate",
    "mmseg",
    "mmtrack",
    "mmyolo",
)
_ELEMENT = "BaseDataElement(loss={'loss_cls': tensor, ...})"


def look(
    config: Mapping[str, Any],
    failed: Sequence[Tuple[str, str]],
    resolve: Callable[[Any], Optional[type]],
) -> List[Finding]:
    """Findings about a config.

    Args:
        config (dict): A whole config, as :func:`config_file.load` reads it.
        failed (Sequence[tuple[str, str]]): The custom imports that failed,
            and their errors.
        resolve (Callable): Gives the class of a model's config; None where it
            is not installed or does not import.

    Returns:
        list[Finding]: In the order in which a training meets the matters.
    """
    found, config = shapes.mend(config)
    looks: List[Tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("config.custom_imports", lambda: _imports(config, failed)),
        ("config.validation", lambda: _validation(config)),
        (hook_types.CHECK, lambda: hook_types.look(config, failed)),
        (monitor.CHECK, lambda: monitor.look(config)),
        ("config.model", lambda: _loss(config, resolve)),
    ]
    for check, findings in looks:
        try:
            found += findings()
        except Exception as error:
            found.append(
                problem(
                    check,
                    "something that this looks at is not as mmengine wants it: "
                    f"{type(error).__name__}: {error}",
                )
            )
    return found


def _imports(
    config: Mapping[str, Any], failed: Sequence[Tuple[str, str]]
) -> Iterator[Finding]:
    check = "config.custom_imports"
    entry = config.get("custom_imports")
    lenient = isinstance(entry, Mapping) and bool(entry.get("allow_failed_imports"))
    ours = [name.split(".")[0] == "valloss_compat" for name in custom_imports(config)]
    if not any(ours):
        named = any(kind(entry) == hook.NAME for entry in monitor.hooks(config))
        yield (problem if named else note)(
            check,
            "this config does not import valloss_compat"
            + (f", without which nobody knows {hook.NAME}" if named else "")
            + ": run the train script with "
            "`python -m valloss_compat run`, import valloss_compat in it, or add "
            "custom_imports=dict(imports=['valloss_compat'], "
            "allow_failed_imports=False)",
        )
    elif lenient:
        yield note(
            check,
            "this config imports valloss_compat with allow_failed_imports=True: where "
            "it is not installed, the training goes on without a validation loss; say "
            "allow_failed_imports=False",
        )
    else:
        yield ok(check, "this config imports valloss_compat")
    for name, error in failed:
        end = "go on without it" if lenient else "end"
        finding = note if lenient else problem
        yield finding(
            check,
            f"{name} cannot be imported here ({error}): a training in this "
            f"environment and folder would {end}, and what it registers was not tried. "
            "Say where it is with PYTHONPATH, or install it",
        )


def _validation(config: Mapping[str, Any]) -> Iterator[Finding]:
    check = "config.validation"
    there = [name for name in _VALIDATION if config.get(name) is not None]
    missing = [name for name in _VALIDATION if name not in there]
    if there and missing:
        yield problem(
            check,
            f"there is no {' and no '.join(missing)} beside {', '.join(there)}: "
            "mmengine wants all three, or none",
        )
    elif missing:
        text = "this config does not validate: it has none of " + ", ".join(_VALIDATION)
        if monitor.watched(config):
            yield problem(
                check, f"{text}, but a loss is monitored. Add them, or the hook waits"
            )
        else:
            yield note(check, f"{text}, so that there is no validation loss")
    else:
        yield from _often_enough(config)
        yield from _own_classes(config)


def _often_enough(config: Mapping[str, Any]) -> Iterator[Finding]:
    train = config.get("train_cfg") or {}
    limit = train.get("max_epochs", train.get("max_iters"))
    for name in ("val_interval", "val_begin"):
        if not isinstance(train.get(name, 1), int):
            yield problem(
                "config.validation",
                f"{name} of train_cfg is {train[name]!r}, but a whole number is "
                "expected",
            )
            return
    first = max(train.get("val_interval", 1), train.get("val_begin", 1))
    if isinstance(limit, int) and first > limit:
        yield problem(
            "config.validation",
            f"the first validation would be after {first}, but the training ends after "
            f"{limit}: lower val_interval or val_begin of train_cfg",
        )


def _own_classes(config: Mapping[str, Any]) -> Iterator[Finding]:
    for name, usual in (("val_cfg", "ValLoop"), ("val_evaluator", "Evaluator")):
        own = kind(config.get(name))
        # Runner.build_evaluator: without metrics it is a metric, for its Evaluator.
        a_metric = name == "val_evaluator" and "metrics" not in (config[name] or ())
        if own in ("", usual) or a_metric:
            yield ok("config.validation", f"{name} uses mmengine's {usual}")
        else:
            yield note(
                "config.validation",
                f"{name} has a class of its own, {config[name]['type']}: "
                "valloss_compat patches those too. Whether that works is tried out "
                "above, where it can be imported and built",
            )


def _loss(
    config: Mapping[str, Any], resolve: Callable[[Any], Optional[type]]
) -> Iterator[Finding]:
    """Where the losses will come from."""
    check = "config.model"
    model = config.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        yield problem(
            check, "this config has no model with a type: nothing can be told"
        )
        return
    models = list(_wrapped(model))
    scope = str(config.get("default_scope") or "mmengine")
    shown = ", which wraps ".join(_with_scope(part, scope) for part in models)
    entries = [entry for entry in monitor.hooks(config) if kind(entry) == hook.NAME]
    wrong = [text for entry in entries for text in hook.cannot_build(entry)]
    if wrong:
        yield from (problem("config.val_loss_hook", text) for text in wrong)
        return
    refusals = list(hook.refusals(config))
    if entries:
        yield from (problem("config.val_loss_hook", text) for text in refusals)
        if not refusals:
            text = f"{hook.NAME} will compute the losses of {shown}"
            yield ok("config.val_loss_hook", text)
        return
    if all(_is_of_library(part, scope, resolve(part)) for part in models):
        entry = f"custom_hooks=[dict(type='{hook.NAME}')]"
        by_hook = "" if refusals else f"add {entry}, or "
        text = (
            f"the model is {shown}, of a library whose models append no loss element: "
            f"{by_hook}derive a model whose forward in mode 'predict' ends its result "
            f"with {_ELEMENT}"
        )
        yield problem(check, text) if monitor.watched(config) else note(check, text)
        why = f"{hook.NAME} is no way out: "
        yield from (note("config.val_loss_hook", why + text) for text in refusals)
    else:
        yield note(
            check,
            f"the model is {shown}: its forward in mode 'predict' has to end its "
            f"result with {_ELEMENT}",
        )
    yield from pipelines.look(config)


def _wrapped(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A model, and the one that it wraps, and so on."""
    while True:
        yield model
        inner = [model[key] for key in _WRAPPED if isinstance(model.get(key), Mapping)]
        if not inner or "type" not in inner[0]:
            return
        model = inner[0]


def _is_of_library(model: Mapping[str, Any], scope: str, cls: Optional[type]) -> bool:
    """Whether a model's class is a library's own, and not one of the user's.

    Those of users are registered in the library's scope, too: where the class
    cannot be looked at, only a name that the adapters know tells.
    """
    if cls is not None:
        return cls.__module__.split(".")[0] in _LIBRARIES
    part = facts.of_config(model, scope)
    known = adapters.adapter_for(part)
    return known is not None and (
        part.kind in known.models or part.kind in known.refused
    )


def _with_scope(model: Mapping[str, Any], scope: str) -> str:
    name = str(model["type"])
    return name if "." in name else f"{model.get('_scope_', scope)}.{name}"
