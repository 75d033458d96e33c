"""Figures: no picture without a title, axis names and a text alternative; the same figure, the same bytes."""

import io
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from clearformer.plots import heatmap, new_figure, picture, show
from clearformer.plots.style import contrast

HOSTILE = "\"><script>alert(1)</script>&amp;'<img src=x onerror=y>"


def a_line(title="Speed", xlabel="time (s)", ylabel="speed (m/s)"):
    figure, axes = new_figure(width=4, height=3)
    axes.plot([0, 1, 2], [0, 1, 4])
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return figure


def a_map(values=None, **more):
    figure, axes = new_figure(width=5, height=4)
    names = {"title": "Weights", "xlabel": "key", "ylabel": "query", "value_name": "weight"}
    heatmap(axes, [[0.0, 0.25], [0.5, 1.0]] if values is None else values, **names | more)
    return figure, axes


def elements(html):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(html)
    return found


def chunks(png):
    """The names of the parts of a PNG, by its published layout: length, name, content, checksum."""
    names, place = [], 8
    while place < len(png):
        names.append(png[place + 4 : place + 8].decode())
        place += 12 + int.from_bytes(png[place : place + 4], "big")
    return names


@pytest.mark.parametrize("alt", ["", "  \n", None, 3])
def test_a_figure_without_alt_text_is_refused(alt):
    with pytest.raises(ValueError, match="alt is missing"):
        show(a_line(), alt)


@pytest.mark.parametrize(
    "blank, said", [("title", "a title"), ("xlabel", "name for the x axis"), ("ylabel", "name for the y axis")]
)
def test_a_figure_without_title_or_axis_names_is_refused(blank, said):
    with pytest.raises(ValueError, match=said):
        picture(a_line(**{blank: " "}), "a line")


def test_the_refusal_names_the_panel_and_everything_that_is_missing():
    figure, axes = new_figure(1, 2)
    axes[0].set(title="Left", xlabel="a", ylabel="b")
    axes[1].set(ylabel="b")
    with pytest.raises(ValueError, match="x axis of panel 2") as caught:
        picture(figure, "two panels")
    assert "panel 1" not in str(caught.value) and "y axis" not in str(caught.value)


def test_shared_axes_figure_names_and_empty_panels_are_in_order():
    figure, axes = new_figure(2, 2, sharex=True, sharey=True)
    figure.suptitle("Four")
    axes[1, 0].set_xlabel("time (s)")
    axes[1, 0].set_ylabel("height (m)")
    assert picture(figure, "four panels")
    figure, axes = new_figure(1, 2)
    axes[0].set(title="One", xlabel="a", ylabel="b")
    axes[1].axis("off")
    assert picture(figure, "one panel and a blank")


def test_a_colour_bar_without_a_name_is_refused():
    figure, _ = a_map()
    figure.axes[-1].set_ylabel("")
    with pytest.raises(ValueError, match="colour bar"):
        picture(figure, "a map")


def test_the_same_figure_gives_the_same_bytes_and_they_carry_no_date_or_software():
    first, second = picture(a_line(), "a line").png, picture(a_line(), "a line").png
    assert first == second
    assert set(chunks(first)) == {"IHDR", "PLTE", "IDAT", "IEND"}


def test_packing_the_picture_hardly_changes_its_colours():
    figure, _ = a_map(np.random.default_rng(0).random((6, 6)), diverging=True)
    packed = np.asarray(Image.open(io.BytesIO(picture(figure, "a map").png)).convert("RGB")).astype(int)
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=200, facecolor="white")
    plain = np.asarray(Image.open(raw).convert("RGB")).astype(int)
    assert abs(packed - plain).max() <= 16 and abs(packed - plain).mean() < 1
    assert (packed[0, 0] == 255).all()


def test_the_html_is_one_image_with_the_alt_text_whatever_it_contains():
    (only,) = elements(picture(a_line(), HOSTILE)._repr_html_())
    assert only[0] == "img" and only[1]["alt"] == HOSTILE
    assert only[1]["src"].startswith("data:image/png;base64,")


def test_where_there_is_no_html_the_alt_text_stands_in():
    assert repr(picture(a_line(), "  A line that rises. ")) == "A line that rises."


def test_the_image_has_two_pixels_for_each_pixel_of_the_page():
    shown = picture(a_line(), "a line")
    assert (shown.width, shown.height) == (400, 300)
    assert int.from_bytes(shown.png[16:20], "big") == 800
    narrow = picture(a_line(), "a line", width=200)
    assert (narrow.width, narrow.height) == (200, 150)
    with pytest.raises(ValueError, match="width"):
        picture(a_line(), "a line", width=0)


def test_show_displays_once_and_closes_a_pyplot_figure(monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    figure, axes = pyplot.subplots()
    axes.set(title="t", xlabel="x", ylabel="y")
    assert show(figure, "nothing yet") is None
    assert pyplot.get_fignums() == [] and [repr(each) for each in shown] == ["nothing yet"]


def test_new_figures_do_not_pile_up_in_pyplot():
    from matplotlib import pyplot

    for _ in range(3):
        a_line()
    assert pyplot.get_fignums() == []


def test_lines_differ_in_more_than_colour():
    _, axes = new_figure()
    lines = [axes.plot([0, 1], [i, i])[0] for i in range(6)]
    for look in ("get_color", "get_marker", "_dash_pattern"):
        values = [str(getattr(line, look)() if look.startswith("get") else getattr(line, look)) for line in lines]
        assert len(set(values)) == 6, look


@pytest.mark.parametrize("blank", ["title", "xlabel", "ylabel", "value_name"])
def test_a_heatmap_without_a_name_is_refused(blank):
    with pytest.raises(ValueError, match=blank):
        a_map(**{blank: ""})


def test_a_heatmap_needs_a_matrix_and_as_many_words_as_cells():
    for values in ([1.0, 2.0], np.zeros((0, 3)), np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="shape"):
            a_map(values)
    with pytest.raises(ValueError, match="x_words has 3 names for 2 cells"):
        a_map(x_words=["a", "b", "c"])


def test_small_heatmaps_print_their_numbers_and_large_ones_do_not():
    assert [text.get_text() for text in a_map()[1].texts] == ["0.00", "0.25", "0.50", "1.00"]
    assert [text.get_text() for text in a_map(np.zeros((60, 60)))[1].texts] == []


@pytest.mark.parametrize("diverging", [False, True])
def test_printed_numbers_stand_out_from_their_cells(diverging):
    _, axes = a_map(np.linspace(-1, 1, 36).reshape(6, 6), diverging=diverging)
    image = axes.images[0]
    shades = image.cmap(image.norm(image.get_array())).reshape(-1, 4)
    ratios = [contrast(shade, text.get_color()) for shade, text in zip(shades, axes.texts, strict=True)]
    assert len(ratios) == 36 and min(ratios) >= 4.5


@pytest.mark.parametrize("values", [[[-1.0, 3.0]], [[-3.0, 1.0]], [[0.0, 0.0]]])
def test_zero_is_the_middle_of_a_diverging_map(values):
    image = a_map(values, diverging=True)[1].images[0]
    low, high = image.get_clim()
    assert low == -high and high >= np.abs(values).max()


def test_hidden_scores_are_printed_as_what_they_are_and_do_not_stretch_the_shades():
    figure, axes = a_map([[1.0, -np.inf], [np.nan, 2.0]])
    assert [text.get_text() for text in axes.texts] == ["1.00", "−∞", "NaN", "2.00"]
    assert axes.images[0].get_clim() == (1.0, 2.0)
    assert picture(figure, "hidden scores")
    figure, _ = a_map(np.full((2, 2), -np.inf))
    assert picture(figure, "all hidden")


def test_a_heatmap_takes_a_torch_tensor_that_wants_gradients():
    weights = torch.rand(3, 3, requires_grad=True, dtype=torch.bfloat16)
    _, axes = a_map(weights)
    assert np.array_equal(axes.images[0].get_array(), weights.detach().double().numpy())


def test_a_heatmap_leaves_its_input_alone():
    values = np.array([[1.0, -np.inf]])
    a_map(values)
    assert np.array_equal(values, [[1.0, -np.inf]])


def test_importing_the_package_does_not_load_matplotlib_or_torch():
    code = "import sys, clearformer.plots; print({'matplotlib', 'torch'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
