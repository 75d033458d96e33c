import numpy as np
import pytest
import torch

from clearformer.plots import picture
from clearformer.plots.alignment import alignment

SOURCE, TARGET = ["a", "red", "bike"], ["ein", "rotes", "Rad", "."]
WEIGHTS = np.array([[0.8, 0.15, 0.05], [0.02, 0.9, 0.08], [0.1, 0.2, 0.7], [0.09, 0.08, 0.07]])


def drawn(weights=WEIGHTS):
    figure, alt = alignment(weights, SOURCE, TARGET, "Who comes from whom")
    return figure.axes[0], alt


def middles(axes):
    return {text.get_text(): text.get_position()[0] for text in axes.texts}


def lines(axes):
    """{(target word, source word): line}"""
    above, below = (
        {place: word for word, place in middles(axes).items() if word in words} for words in (SOURCE, TARGET)
    )
    ends = [(below[line.get_xdata()[1]], above[line.get_xdata()[0]]) for line in axes.lines]
    return dict(zip(ends, axes.lines, strict=True))


def test_each_target_word_has_lines_to_the_words_it_looks_at():
    axes, _ = drawn()
    assert set(lines(axes)) == {
        ("ein", "a"), ("ein", "red"), ("rotes", "red"), ("Rad", "bike"), ("Rad", "red"), ("Rad", "a"), (".", "a")
    }  # fmt: skip


def test_a_heavier_weight_is_a_thicker_line_and_the_heaviest_is_unbroken():
    found = lines(drawn()[0])
    widths = {pair: line.get_linewidth() for pair, line in found.items()}
    assert widths["rotes", "red"] > widths["ein", "a"] > widths["Rad", "red"] > widths["Rad", "a"]
    unbroken = {pair for pair, line in found.items() if line.get_linestyle() == "-"}
    assert unbroken == {("ein", "a"), ("rotes", "red"), ("Rad", "bike"), (".", "a")}


def test_words_stand_in_order_and_do_not_overlap():
    places = middles(drawn()[0])
    for words in (SOURCE, TARGET):
        edges = [edge for word in words for edge in (places[word] - len(word) / 2, places[word] + len(word) / 2)]
        assert edges == sorted(edges)


def test_the_text_alternative_names_every_word_with_its_weights():
    _, alt = drawn(torch.tensor(WEIGHTS))
    assert "Rad: bike 0.70, red 0.20, a 0.10" in alt and ".: a 0.09" in alt
    figure, alt = alignment(WEIGHTS, SOURCE, TARGET, "Who comes from whom")
    assert picture(figure, alt).alt.startswith("Who comes from whom.")


def test_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"need weights of shape \(4, 3\); got \(3, 4\)"):
        alignment(WEIGHTS.T, SOURCE, TARGET, "Who comes from whom")
