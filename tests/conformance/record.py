"""Records the behaviour of an unpatched mmengine in every case, or checks it.

Run from the folder tests, without valloss_compat:

python -m conformance.record              native 0.10.5, 0.10.6 or 0.10.7
python -m conformance.record --unpatched  0.10.4, which is not native
python -m conformance.record --check      any release: compare, write nothing
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from typing import Any

import mmengine
import torch
from support.native import NATIVE as NATIVE_LOOPS

from .cases import all_cases
from .recordings import NATIVE, UNPATCHED, Recording, differences, dumps, load, path_of
from .trace import run_case, unavailable


def is_native() -> bool:
    """Whether this mmengine extracts losses by itself."""
    return NATIVE_LOOPS


def record_all() -> dict[str, Any]:
    """Run all cases, each with its trace or the reason why it cannot run here."""
    traces: dict[str, Any] = {}
    for name, case in all_cases().items():
        reason = unavailable(case)
        if reason is None:
            with tempfile.TemporaryDirectory() as work_dir:
                traces[name] = run_case(case, work_dir)
        else:
            traces[name] = {"unavailable": reason}
    return traces


def check(recorded: Recording, traces: dict[str, Any]) -> list[str]:
    """Compare traces with a recording.

    Args:
        recorded (dict): The recording.
        traces (dict): What :func:`record_all` returned.

    Returns:
        list[str]: The differences. Messages of exceptions are not compared.
    """
    cases = recorded["cases"]
    found = [f"{name}: in one of both only" for name in set(cases) ^ set(traces)]
    for name in sorted(set(cases) & set(traces)):
        if "unavailable" in traces[name]:
            print(f"not compared: {name}: {traces[name]['unavailable']}")
            continue
        expected, actual = dict(cases[name]), dict(traces[name])
        for trace in (expected, actual):
            trace.pop("message", None)
        found += differences(expected, actual, name)
    return found


def _recording_of_this(args: argparse.Namespace) -> str:
    if "valloss_compat" in sys.modules:
        sys.exit("valloss_compat is imported: this would record the package itself")
    if args.check:
        return NATIVE[-1] if is_native() else UNPATCHED
    name = f"mmengine-{mmengine.__version__}"
    if args.unpatched:
        if is_native() or mmengine.__version__ != "0.10.4":
            sys.exit(f"{name} is not the 0.10.4 that --unpatched records")
        return UNPATCHED
    if not is_native() or name not in NATIVE:
        sys.exit(f"{name} is none of the native releases {', '.join(NATIVE)}")
    return name


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--unpatched", action="store_true", help="record 0.10.4")
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    args = parser.parse_args()
    name = _recording_of_this(args)
    traces = record_all()
    if args.check:
        found = check(load(name), traces)
        print("\n".join(found) or f"{len(traces)} cases: as recorded in {name}")
        sys.exit(1 if found else 0)
    unavailable_here = [case for case in traces if "unavailable" in traces[case]]
    if unavailable_here:
        sys.exit(f"these cannot be recorded here: {unavailable_here}")
    meta = {
        "mmengine": mmengine.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    with open(path_of(name), "w", encoding="utf-8") as file:
        file.write(dumps({"meta": meta, "cases": traces}))
    print(f"{len(traces)} cases recorded in {path_of(name)}")


if __name__ == "__main__":
    main()
