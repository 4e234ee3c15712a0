"""The rows of the contract that one process without log writers can show.

Other tests cover several ranks, the terminal, scalars.json, TensorBoard and wandb.
"""

from __future__ import annotations

EXTRACTED = (
    "last item is a BaseDataElement with data fields exactly {'loss'}: extracted"
)
UNTOUCHED = "anything else: passed through untouched"
NATIVE_RAISES = f"{UNTOUCHED}, where native raises"
NO_MAPPING = "`loss` is no mapping: TypeError that shows the right form"
ONE = "value is a tensor with one element: one update"
SEVERAL = "value is a tensor with several elements: mean (as training's parse_losses)"
SEQUENCE = "value is a list or tuple of tensors: the sum of their means, one update"
NUMBER = "value is a Python or numpy number: one update"
OTHER = "value of any other type: TypeError naming the key and the type"
SOME = "loss element on some iterations only: mean over those seen"
TOTAL = "`val_loss` (`test_loss`): sum of the means whose name contains `loss`"
NO_TOTAL = "no name contains `loss`: no total, one warning"
METRIC = "a named loss has the name of a metric: loss wins, one warning naming it"
NAN = "NaN: stays in the mean; one warning per epoch naming loss and batch index"
EQUAL = "returned metrics: equal in both modes to native, keys and values"
EPOCH = "a second epoch never sees the first's losses; `loop.val_loss` is cleared"

ROWS = frozenset(text for name, text in dict(globals()).items() if name.isupper())
