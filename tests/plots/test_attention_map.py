"""Attention maps: the words, numbers and sentences are right, also where nothing runs them."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch

from clearformer.plots import attention_map
from clearformer.plots.style import contrast

WORDS = ["the", "cat", "sat"]
WEIGHTS = np.array([[1.0, 0.0, 0.0], [0.375, 0.625, 0.0], [0.004, 0.246, 0.75]])


def a_map(weights=WEIGHTS, queries=WORDS, keys=WORDS, title="Who looks at whom", **more):
    return attention_map(weights, queries, keys, title=title, **more)


def static(made):
    data, _ = made._repr_mimebundle_()
    return data


def static_table(made):
    return ElementTree.fromstring(re.search("<table.*</table>", static(made)["text/html"], re.DOTALL)[0])


def test_the_sentence_names_the_words_by_weight_and_leaves_out_hidden_ones():
    sentences = [row["sentence"] for row in a_map().heads[0]]
    assert sentences == [
        "“the” looks at: the 1.00.",
        "“cat” looks at: cat 0.62, the 0.38.",
        "“sat” looks at: sat 0.75, cat 0.25, the 0.00.",
    ]


def test_a_long_row_names_the_four_largest_and_sums_up_the_rest():
    weights = np.array([[0.05, 0.3, 0.1, 0.2, 0.05, 0.15, 0.15]])
    (row,) = a_map(weights, ["x"], list("abcdefg")).heads[0]
    assert row["sentence"] == "“x” looks at: b 0.30, d 0.20, f 0.15, g 0.15, 3 others 0.20 together."


def test_words_that_repeat_are_told_apart_by_their_position():
    made = a_map(np.full((2, 2), 0.5), ["the", "the"], ["the", "the"])
    assert made.heads[0][1]["sentence"] == "“the (2)” looks at: the (1) 0.50, the (2) 0.50."


def test_a_hidden_row_looks_at_nothing():
    assert a_map(np.zeros((1, 3)), ["pad"], WORDS).heads[0][0]["sentence"].startswith("“pad” looks at nothing")


def test_an_exact_zero_is_told_from_a_small_weight():
    assert a_map().heads[0][0]["texts"] == ["1.00", "0", "0"]
    assert a_map().heads[0][2]["texts"] == ["0.00", "0.25", "0.75"]


def test_the_static_table_has_a_caption_headers_and_all_numbers():
    tree = static_table(a_map())
    assert tree.findtext("caption") == "Who looks at whom"
    assert [th.text for th in tree.findall("thead/tr/th[@scope='col']")] == ["looks at →", *WORDS]
    assert [th.text for th in tree.findall("tbody/tr/th[@scope='row']")] == WORDS
    assert [td.text for td in tree.iter("td")] == ["1.00", "0", "0", "0.38", "0.62", "0", "0.00", "0.25", "0.75"]


def test_the_numbers_of_the_static_table_stand_out_from_their_shades():
    grid = np.linspace(0, 1, 36).reshape(6, 6)
    cells = static_table(a_map(grid, list("abcdef"), list("abcdef"))).iter("td")
    colours = [re.findall("#[0-9a-f]{6}", cell.get("style")) for cell in cells]
    assert len(colours) == 36 and min(contrast(*pair) for pair in colours) >= 4.5


def test_the_plain_text_says_each_row_in_words():
    assert static(a_map())["text/plain"].splitlines()[:3] == [
        "Who looks at whom",
        "“the” looks at: the 1.00.",
        "“cat” looks at: cat 0.62, the 0.38.",
    ]


def test_the_static_parts_are_the_same_every_time():
    first, second = static(a_map()), static(a_map())
    assert [first[kind] for kind in ("text/plain", "text/html")] == [
        second[kind] for kind in ("text/plain", "text/html")
    ]
    assert "application/vnd.jupyter.widget-view+json" in first


def test_hostile_words_stay_words():
    bad = "<script>alert(1)</script>&\"'"
    made = a_map(np.eye(1), [bad], [bad], title=bad)
    tree = static_table(made)
    assert tree.findtext("caption") == tree.findtext("tbody/tr/th") == bad
    assert "<script" not in static(made)["text/html"]


def test_blank_words_can_still_be_seen():
    made = a_map(np.full((1, 4), 0.25), [" "], ["", "\n", "\t", "a\nb"])
    assert (made.query_words, made.key_words) == (["␣"], ["␣", "⏎", "⇥", "a⏎b"])


def test_heads_have_names_and_the_first_is_shown():
    made = a_map(np.stack([WEIGHTS, np.eye(3)]), head_names=["near", "far"])
    assert static(made)["text/plain"].startswith("Who looks at whom (near)")
    assert a_map(np.stack([WEIGHTS, WEIGHTS])).head_names == ["head 1", "head 2"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_torch_weights_that_want_gradients_are_taken(dtype):
    weights = torch.eye(3, dtype=dtype, requires_grad=True)
    assert a_map(weights).heads == a_map(np.eye(3)).heads


@pytest.mark.parametrize("size", [1, 20])
def test_one_word_and_twenty_words_work(size):
    words = [f"word{i}" for i in range(size)]
    assert len(list(static_table(a_map(np.eye(size), words, words)).iter("td"))) == size * size


def test_rounding_just_past_one_is_forgiven():
    assert a_map(np.array([[1 + 1e-9, -1e-12]]), ["a"], ["b", "c"]).heads[0][0]["texts"] == ["1.00", "0"]


@pytest.mark.parametrize(
    "weights, queries, said",
    [
        (WEIGHTS[:2], WORDS, r"3 query_words and 3 key_words need weights of shape \(3, 3\).*\(2, 3\)"),
        (WEIGHTS[0], WORDS, "shape"),
        (np.zeros((0, 3)), [], "shape"),
        (np.where(np.eye(3) > 0, np.nan, 0), WORDS, "finite"),
        (np.where(np.eye(3) > 0, -np.inf, 0), WORDS, "finite"),
        (WEIGHTS * 4, WORDS, "scores before the softmax"),
        (-WEIGHTS, WORDS, "between 0 and 1"),
        (WEIGHTS, [1, 2, 3], "list of texts"),
        (np.zeros((41, 3)), ["w"] * 41, "legible up to 40"),
    ],
)
def test_words_and_weights_that_do_not_fit_are_refused(weights, queries, said):
    with pytest.raises(ValueError, match=said):
        a_map(weights, queries)


def test_a_map_needs_a_title_and_a_name_for_each_head():
    with pytest.raises(ValueError, match="title"):
        a_map(title=" ")
    with pytest.raises(ValueError, match="1 names for 2 heads"):
        a_map(np.stack([WEIGHTS, WEIGHTS]), head_names=["only"])


def test_the_input_is_left_alone():
    weights = np.array([[1 + 1e-9, 0.0]])
    a_map(weights, ["a"], ["b", "c"])
    assert weights[0, 0] == 1 + 1e-9
