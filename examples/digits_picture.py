"""The picture of the digits demo: both curves, the best epoch and the stop."""

from digits_report import CurveRecorder
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw(recorder: CurveRecorder, max_epochs: int, stopped: bool, path: str) -> None:
    """Draws both curves with the best epoch and the stop marked.

    Args:
        recorder (CurveRecorder): The curves of the run.
        max_epochs (int): The epochs the run might have had.
        stopped (bool): Whether early stopping ended it.
        path (str): The PNG file to write.
    """
    train_color, val_color, grey = "#3b6fb6", "#d1603d", "#5f6368"
    epochs, best = recorder.epochs, recorder.best
    numbers = [epoch.number for epoch in epochs]
    # A bare Figure renders with Agg: no display, and no global state of pyplot.
    figure = Figure(figsize=(9, 5), dpi=120)
    axes = figure.add_subplot()
    axes.plot(
        numbers,
        [epoch.train_loss for epoch in epochs],
        color=train_color,
        marker="o",
        markersize=3.5,
        label="training loss (mean over the epoch)",
    )
    if best is not None and best.val_loss is not None:
        axes.plot(
            [epoch.number for epoch in epochs if epoch.val_loss is not None],
            [epoch.val_loss for epoch in epochs if epoch.val_loss is not None],
            color=val_color,
            marker="o",
            markersize=3.5,
            label="val_loss (as reported by the validation loop)",
        )
        axes.plot(
            best.number,
            best.val_loss,
            linestyle="none",
            marker="*",
            markersize=17,
            color=val_color,
            markeredgecolor="white",
            label=f"best checkpoint: epoch {best.number}, val_loss {best.val_loss:.3f}",
            zorder=4,
        )
    last = numbers[-1]
    if stopped:
        axes.axvline(
            last,
            color=grey,
            linestyle="--",
            linewidth=1.2,
            label=f"early stop after epoch {last}",
        )
        if last < max_epochs:
            axes.axvspan(last, max_epochs + 0.5, color=grey, alpha=0.08, linewidth=0)
            axes.text(
                (last + max_epochs) / 2,
                0.3,
                f"{max_epochs - last} epochs\nnot run",
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="center",
                color=grey,
            )
    title = "Early stopping on val_loss: handwritten digits"
    if best is None:
        title = "No val_loss was reported: nothing to stop on"
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross entropy per image")
    axes.set_xlim(0, max_epochs + 0.5)
    axes.set_ylim(bottom=0)  # a loss of zero is the floor of the picture
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=True, framealpha=1, edgecolor="none", loc="upper right")
    figure.tight_layout()
    figure.savefig(path)
