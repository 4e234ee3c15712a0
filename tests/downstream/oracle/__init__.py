"""The oracle: what ``ValLossHook`` has to report, computed apart from it.

``python -m downstream.oracle`` (from ``tests``) prints one row for each model class of
the libraries. The tables of models are ``models_*``, their data ``samples_*``;
``expected`` computes a loss without the package, ``reported`` asks the package for it.
"""
