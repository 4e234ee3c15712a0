"""How ValLossHook gets a loss without leaving a trace: one room a job."""
