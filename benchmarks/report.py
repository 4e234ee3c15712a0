"""The results and their targets, as Markdown tables and JSON."""

from __future__ import annotations

from statistics import median
from typing import Any, Dict, List, NamedTuple, Optional

from import_time import ImportTime
from loop import (
    HERE_WITH,
    HERE_WITHOUT,
    LENGTH,
    NATIVE_WITH,
    NATIVE_WITHOUT,
    Case,
    Loop,
    Rounds,
    compare,
)
from memory import Memory
from recording import Cost, Recording

_WORDS = {1: "one loss", 10: "ten losses"}
#: Number of losses -> epoch length, and how many times cheaper than native.
_TIMES_CHEAPER = {1: (10**4, 8), 10: (50000, 20)}
_FLAT_PERCENT = 20
#: Of an iteration without a loss, by the least of all rounds.
_WITHOUT_LOSS_RATIO = 1.10
_TRAINING_MICROSECONDS = 2
_IMPORT_MILLISECONDS = 5
# Small Python objects, such as a larger int, are no history.
_GROWTH_BYTES = 256


class Measured(NamedTuple):
    """All results, and the versions and machine they are from."""

    where: Dict[str, str]
    recording: Recording
    loop: Loop
    memory: Memory
    import_time: ImportTime


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        what (str): What was measured.
        native (str): Of native mmengine, unpatched.
        here (str): Of mmengine with this package.
        compared (str): The difference or ratio.
        target (str): Empty if there is none.
        met (bool, optional): None if there is no target.
    """

    what: str
    native: str
    here: str
    compared: str
    target: str = ""
    met: Optional[bool] = None


def rows(measured: Measured) -> List[Row]:
    """Return the lines of the first table.

    Args:
        measured (Measured): All results.
    """
    costs = measured.recording.costs
    lines = [_cheaper(costs, losses) for losses in (1, 10)]
    lines += [_flat(costs, losses) for losses in (1, 10)]
    lines += _patches(measured.loop)
    lines.append(_memory(measured.memory))
    lines.append(_import(measured.import_time))
    return lines


def markdown(measured: Measured) -> str:
    """Return both tables as Markdown.

    Args:
        measured (Measured): All results.
    """
    mmengine = measured.where["mmengine"]
    where = ", ".join(f"{name} {value}" for name, value in measured.where.items())
    table = [
        f"Measured with {where}.",
        "",
        f"| what | mmengine {mmengine} | with valloss_compat | compared | target | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows(measured):
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        table.append("| " + " | ".join([*row[:5], verdict]) + " |")
    return "\n".join([*table, "", *_by_length(measured.recording)])


def as_dict(measured: Measured) -> Dict[str, Any]:
    """Return all figures of all rounds, for JSON.

    Args:
        measured (Measured): All results.
    """

    def named(rounds: Rounds) -> Dict[str, List[float]]:
        return {
            f"{'patched' if case.patched else 'native'}, losses: {case.losses}": known
            for case, known in rounds.items()
        }

    return {
        "where": measured.where,
        "targets": [row._asdict() for row in rows(measured)],
        "recording_us": [cost._asdict() for cost in measured.recording.costs],
        "sampled_over_whole": measured.recording.check,
        "val_loop_us": {
            "iterations": LENGTH,
            "with_autocast": named(measured.loop.whole),
            "without_autocast": named(measured.loop.bare),
        },
        "training_hooks_us": {
            "patched" if patched else "native": known
            for patched, known in measured.loop.training.items()
        },
        "memory_peak_bytes": measured.memory._asdict(),
        "import_ms": measured.import_time._asdict(),
    }


def _cheaper(costs: List[Cost], losses: int) -> Row:
    length, times = _TIMES_CHEAPER[losses]
    cost = next(c for c in costs if (c.losses, c.length) == (losses, length))
    ratio = cost.native / cost.here
    return Row(
        f"recording {_WORDS[losses]}, epoch of {length:,}",
        f"{cost.native:.2f} us",
        f"{cost.here:.2f} us",
        f"{ratio:.1f} times cheaper",
        f"at least {times} times",
        ratio >= times,
    )


def _flat(costs: List[Cost], losses: int) -> Row:
    these = [cost for cost in costs if cost.losses == losses]
    native = [cost.native for cost in these]
    here = [cost.here for cost in these]
    spread = (max(here) / min(here) - 1) * 100
    return Row(
        f"recording {_WORDS[losses]}, epochs of {these[0].length:,} to "
        f"{these[-1].length:,}",
        f"{min(native):.1f} to {max(native):,.0f} us",
        f"{min(here):.2f} to {max(here):.2f} us",
        f"varies by {spread:.0f} %",
        f"within {_FLAT_PERCENT} %",
        spread <= _FLAT_PERCENT,
    )


def _patches(loop: Loop) -> List[Row]:
    def row(what: str, rounds: Rounds, before: Case, after: Case) -> Row:
        found = compare(rounds, before, after)
        return Row(
            what,
            f"{found.before:.2f} us",
            f"{found.after:.2f} us",
            f"{found.difference:+.2f} us, ratio {found.ratio:.2f}",
        )

    without = "`ValLoop.run` without a loss element, an iteration"
    least = min(loop.whole[HERE_WITHOUT]) / min(loop.whole[NATIVE_WITHOUT])
    first = row(without, loop.whole, NATIVE_WITHOUT, HERE_WITHOUT)
    first = first._replace(
        compared=f"{first.compared}; of the least {least:.2f}",
        target=f"at most {_WITHOUT_LOSS_RATIO:.2f} of the least",
        met=least <= _WITHOUT_LOSS_RATIO,
    )
    before, after = (min(loop.training[patched]) for patched in (False, True))
    training = Row(
        "calls of hooks in an iteration of a training",
        f"{before:.2f} us",
        f"{after:.2f} us",
        f"{after - before:+.2f} us",
        f"at most {_TRAINING_MICROSECONDS} us more",
        after - before <= _TRAINING_MICROSECONDS,
    )
    return [
        first,
        training,
        row(f"{without}, no autocast", loop.bare, NATIVE_WITHOUT, HERE_WITHOUT),
        row(
            f"`ValLoop.run` with one loss, an iteration, epoch of {LENGTH:,}",
            loop.whole,
            NATIVE_WITH,
            HERE_WITH,
        ),
        row(
            f"`ValLoop.run` with one loss, an iteration, epoch of {LENGTH:,}, "
            "no autocast",
            loop.bare,
            NATIVE_WITH,
            HERE_WITH,
        ),
    ]


def _memory(memory: Memory) -> Row:
    shortest, longest = min(memory.here), max(memory.here)
    growth = memory.here[longest] - memory.here[shortest]
    return Row(
        f"peak memory, one loss, epoch of {shortest:,} and of {longest:,}",
        f"{memory.native[shortest]:,} and {memory.native[longest]:,} bytes",
        f"{memory.here[shortest]:,} and {memory.here[longest]:,} bytes",
        f"{growth:+,} bytes",
        "does not grow",
        growth < _GROWTH_BYTES,
    )


def _import(import_time: ImportTime) -> Row:
    alone, added = median(import_time.mmengine), median(import_time.here)
    return Row(
        "`import mmengine.runner`, and `import valloss_compat` after it",
        f"{alone:,.0f} ms",
        f"{added:.1f} ms",
        f"{added / alone:+.1%}",
        f"under {_IMPORT_MILLISECONDS} ms",
        added < _IMPORT_MILLISECONDS,
    )


def _by_length(recording: Recording) -> List[str]:
    by_key = {(cost.losses, cost.length): cost for cost in recording.costs}
    table = [
        "| iterations | native, one loss | here | ratio "
        "| native, ten losses | here | ratio |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for length in sorted({cost.length for cost in recording.costs}):
        cells = [f"{length:,}"]
        for losses in (1, 10):
            cost = by_key[losses, length]
            sampled = "~" if cost.sampled else ""
            cells.append(f"{sampled}{cost.native:,.2f} us")
            cells.append(f"{cost.here:.2f} us")
            cells.append(f"{sampled}{cost.native / cost.here:,.1f}")
        table.append("| " + " | ".join(cells) + " |")
    checks = ", ".join(
        f"{_WORDS[losses]} {check - 1:+.0%}"
        for losses, check in recording.check.items()
    )
    return [
        *table,
        "",
        "Mean cost of recording per iteration. `~`: sampled beyond the epochs that "
        f"are run whole; where both were done, sampling is off by: {checks}.",
    ]
