"""A loss curve that grows while a model trains: one picture in the notebook, drawn anew in its place."""

import time

from clearformer.plots.figure import new_figure, picture
from clearformer.plots.style import FAINT

SHARE_OF_TIME = 0.1  # drawing may take this much of it, so that training hardly slows down


class TrainingCurve:
    """The loss of a run by its steps, drawn while it trains.

    with TrainingCurve("Learning to sort") as curve:
        train(model, batches, settings, on_record=curve)

    floor: a loss that cannot be undercut, drawn as a dashed line. A cell that is stored keeps the last picture. Outside
    a notebook nothing is drawn, and the end is told in a line of text.
    """

    def __init__(self, title, floor=None):
        self.title, self.floor = title, floor
        self.steps, self.losses = [], []
        self.validation_steps, self.validation_losses = [], []
        self._place = None  # the output that is drawn anew
        self._began, self._drawing, self._is_stale = time.monotonic(), 0.0, False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __call__(self, record):
        """Add a record: a dict with step and loss, and after an evaluation validation_loss."""
        self.steps.append(record["step"])
        self.losses.append(record["loss"])
        if "validation_loss" in record:
            self.validation_steps.append(record["step"])
            self.validation_losses.append(record["validation_loss"])
        self._is_stale = True
        now = time.monotonic()
        if _in_notebook() and self._drawing <= SHARE_OF_TIME * (now - self._began):
            self._draw()
            self._drawing += time.monotonic() - now

    def close(self):
        """Draw what has come since the last picture."""
        if self._is_stale:
            self._draw()

    @property
    def alt(self):
        """What a person who cannot see the curve needs to know."""
        text = f"{self.title}. Loss {self.losses[0]:.2f} at step {self.steps[0]}"
        if len(self.steps) > 1:
            text += f", {self.losses[-1]:.2f} at step {self.steps[-1]}"
        if self.validation_losses:
            best = min(self.validation_losses)
            where = self.validation_steps[self.validation_losses.index(best)]
            text += f"; lowest validation loss {best:.2f} at step {where}"
        if self.floor is not None:
            text += f". It cannot fall below {self.floor:.2f}"
        return text + "."

    def figure(self):
        """The curve so far."""
        figure, axes = new_figure(width=6.6, height=3.6)
        line = {"marker": ""} if len(self.steps) > 1 else {}
        axes.plot(self.steps, self.losses, label="training", **line)
        if self.validation_losses:
            axes.plot(self.validation_steps, self.validation_losses, label="validation", markevery=1)
        if self.floor is not None:
            axes.axhline(self.floor, color=FAINT, linestyle="--", linewidth=1.2, label="lowest possible")
        if len(axes.lines) > 1:
            axes.legend(loc="upper right")
        axes.set(title=self.title, xlabel="training step", ylabel="loss (nats per token)")
        axes.set_ylim(bottom=0)
        return figure

    def _draw(self):
        self._is_stale = False
        if not _in_notebook():
            print(self.alt)
            return
        from IPython.display import display

        drawn = picture(self.figure(), self.alt)
        if self._place is None:
            self._place = display(drawn, display_id=True)
        else:
            self._place.update(drawn)


def _in_notebook():
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
