import numpy as np
import pytest

from clearformer.plots import new_figure, picture
from clearformer.plots.mask_grid import mask_grid


def test_a_cell_has_a_dot_where_it_may_be_seen_and_is_hatched_where_not():
    mask = np.array([[True, False, False], [True, True, False]])
    _, axes = new_figure()
    mask_grid(axes, mask, ["a", "b"], ["x", "y", "z"], "Who sees what")
    dots = {(round(text.get_position()[1]), round(text.get_position()[0])) for text in axes.texts}
    cells = [cell for cell in axes.patches if cell.get_hatch() is not None]
    hatched = {(round(cell.get_y() + 0.47), round(cell.get_x() + 0.47)) for cell in cells}
    assert dots == {(0, 0), (1, 0), (1, 1)}
    assert hatched == {(0, 1), (0, 2), (1, 2)}


def test_queries_are_rows_from_the_top_and_keys_are_columns():
    figure, axes = new_figure()
    mask_grid(axes, np.eye(2, 3), ["a", "b"], ["x", "y", "z"], "Who sees what")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["x", "y", "z"]
    bottom, top = axes.get_ylim()
    assert top < bottom
    assert picture(figure, "A grid.").alt == "A grid."  # title and axis names are there


@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (6,)])
def test_words_that_do_not_fit_are_refused_with_the_numbers(shape):
    _, axes = new_figure()
    with pytest.raises(ValueError, match="2 queries and 3 keys"):
        mask_grid(axes, np.ones(shape), ["a", "b"], ["x", "y", "z"], "Who sees what")
