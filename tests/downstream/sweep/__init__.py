"""The sweep: what ``ValLossHook`` makes of every config that the libraries ship.

``python -m downstream.sweep`` (from ``tests``) runs the checks of the hook on each
supervised config, with its own validation dataset and pipeline on made data.
``kinds`` fixes which configs those are, ``smaller`` shrinks a config, ``made`` puts the
records of ``records_*`` in the place of annotation files, ``check`` gives a verdict.
"""
