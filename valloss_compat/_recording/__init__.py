"""From the result of ``val_step`` to the metrics: losses are extracted and averaged."""
