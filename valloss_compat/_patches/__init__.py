"""Everything that is changed in mmengine: the table is ``plan.py``."""
