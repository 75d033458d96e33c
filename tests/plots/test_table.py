"""Tables: the same content as HTML with headers and as aligned text."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch

from clearformer.plots import table

ROWS = [["one head", 64, 0.12345], ["eight heads", 4096, -1.5]]
COLUMNS = ["model", "width", "loss (nats)"]


def a_table(**more):
    return table(ROWS, COLUMNS, "Loss by width", **{"formats": {"width": ",d", "loss (nats)": ".3f"}} | more)


def parsed(made):
    return ElementTree.fromstring(made._repr_html_())


def test_the_html_has_a_caption_and_a_header_for_each_row_and_column():
    tree = parsed(a_table())
    assert tree.findtext("caption") == "Loss by width"
    assert [th.text for th in tree.findall("thead/tr/th[@scope='col']")] == COLUMNS
    assert [th.text for th in tree.findall("tbody/tr/th[@scope='row']")] == ["one head", "eight heads"]
    assert [td.text for td in tree.iter("td")] == ["64", "0.123", "4,096", "−1.500"]


def test_the_text_is_aligned_and_says_the_same():
    assert repr(a_table()).splitlines() == [
        "Loss by width",
        "",
        "model        width  loss (nats)",
        "───────────  ─────  ───────────",
        "one head        64        0.123",
        "eight heads  4,096       −1.500",
    ]


def test_numbers_stand_right_and_words_left():
    cells = parsed(table([["a", "b", 1]], ["x", "y", "z"], "c")).findall("tbody/tr/*")
    assert ["right" in cell.get("style") for cell in cells] == [False, False, True]


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), torch.tensor(0.5)])
def test_numbers_of_all_libraries_are_formatted_alike(value):
    assert [td.text for td in parsed(table([["a", value]], ["x", "y"], "c", {"y": ".1%"})).iter("td")] == ["50.0%"]


def test_hostile_words_stay_words():
    bad = "<script>alert('x')</script> & \"quotes\""
    tree = parsed(table([[bad, bad]], [bad, "y"], bad))
    assert tree.findtext("caption") == tree.findtext("thead/tr/th") == tree.findtext("tbody/tr/td") == bad
    assert not list(tree.iter("script"))


def test_words_truth_values_and_gaps_are_not_formatted_as_numbers():
    made = table([["a", True], ["b", None], ["c", "many\nlines"], ["d", 2]], ["x", "y"], "c", {"y": ".1f"})
    assert [td.text for td in parsed(made).iter("td")] == ["True", "–", "many lines", "2.0"]


def test_a_table_may_have_no_rows():
    assert repr(table([], ["x"], "Empty")).splitlines() == ["Empty", "", "x", "─"]


@pytest.mark.parametrize(
    "rows, columns, caption, formats, said",
    [
        ([["a"]], ["x"], " ", {}, "caption"),
        ([["a"]], [" "], "c", {}, "name"),
        ([], [], "c", {}, "name"),
        ([["a", 1], ["b"]], ["x", "y"], "c", {}, "row 2 has 1 cells for 2"),
        ([["a", 1]], ["x", "y"], "c", {"z": "d"}, "names \\['z'\\]"),
        ([["a", 1.5]], ["x", "y"], "c", {"y": "d"}, "column 'y' does not fit 1.5"),
    ],
)
def test_what_does_not_fit_is_said(rows, columns, caption, formats, said):
    with pytest.raises(ValueError, match=said):
        table(rows, columns, caption, formats)
