"""The seams: one file for each place in mmengine that is patched."""
