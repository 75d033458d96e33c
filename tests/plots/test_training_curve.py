import pytest

from clearformer.plots import training_curve
from clearformer.plots.training_curve import TrainingCurve


class Notebook:
    """What a notebook was told to display: a list of (what, text alternative)."""

    def __init__(self, monkeypatch):
        self.shown = []
        monkeypatch.setattr(training_curve, "_in_notebook", lambda: True)
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, picture, display_id):
        self.shown.append(("new", picture.alt))
        return self

    def update(self, picture):
        self.shown.append(("in its place", picture.alt))


@pytest.fixture
def notebook(monkeypatch):
    return Notebook(monkeypatch)


def records(count):
    return [{"step": 10 * number, "loss": 3.0 / number} for number in range(1, count + 1)]


def test_one_output_is_drawn_anew_in_its_place(notebook, monkeypatch):
    monkeypatch.setattr(training_curve, "SHARE_OF_TIME", float("inf"))
    with TrainingCurve("Learning to copy") as curve:
        for record in records(3):
            curve(record)
    assert [how for how, _ in notebook.shown] == ["new", "in its place", "in its place"]


def test_drawing_takes_a_small_share_of_the_time(notebook):
    with TrainingCurve("Learning to copy") as curve:
        for record in records(500):
            curve(record)
    assert len(notebook.shown) <= 5  # 500 records came within a moment


def test_the_last_picture_tells_of_the_last_record(notebook):
    with TrainingCurve("Learning to copy") as curve:
        for record in records(60):
            curve(record)
    assert notebook.shown[-1][1] == "Learning to copy. Loss 3.00 at step 10, 0.05 at step 600."


def test_what_was_drawn_is_kept_when_training_fails(notebook):
    with pytest.raises(KeyboardInterrupt), TrainingCurve("Stopped") as curve:
        for record in records(40):
            curve(record)
        raise KeyboardInterrupt
    assert "at step 400" in notebook.shown[-1][1]


def test_validation_and_floor_are_drawn_and_told():
    curve = TrainingCurve("Learning to sort", floor=0.54)
    curve.steps, curve.losses = [10, 20, 30], [2.5, 1.5, 1.0]
    curve.validation_steps, curve.validation_losses = [10, 20, 30], [2.4, 1.2, 1.3]
    (axes,) = curve.figure().axes
    assert [line.get_label() for line in axes.lines] == ["training", "validation", "lowest possible"]
    assert curve.alt == (
        "Learning to sort. Loss 2.50 at step 10, 1.00 at step 30; lowest validation loss 1.20 at step 20. "
        "It cannot fall below 0.54."
    )


def test_a_record_of_the_training_loop_fits(notebook):
    curve = TrainingCurve("A run")
    stops = curve(
        {"step": 5, "loss": 2.0, "rate": 0.1, "tokens_per_second": 9.0, "seconds": 1.0, "validation_loss": 1.9}
    )
    assert not stops  # the loop stops where a callback returns True
    assert curve.validation_losses == [1.9]


def test_a_run_without_records_draws_nothing(notebook):
    with TrainingCurve("Nothing"):
        pass
    assert notebook.shown == []


def test_outside_a_notebook_one_line_of_text_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(training_curve, "_in_notebook", lambda: False)
    with TrainingCurve("Learning to copy") as curve:
        for record in records(3):
            curve(record)
    assert capsys.readouterr().out == "Learning to copy. Loss 3.00 at step 10, 1.00 at step 30.\n"
