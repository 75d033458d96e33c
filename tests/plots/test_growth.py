import pytest

from clearformer.plots import picture
from clearformer.plots.growth import exponent, growth

LENGTHS = [256, 512, 1024, 4096]


def test_the_exponent_is_the_power():
    assert exponent(LENGTHS, [3 * n**2 for n in LENGTHS]) == pytest.approx(2)
    assert exponent(LENGTHS, [7 * n for n in LENGTHS]) == pytest.approx(1)
    assert exponent([1, 10, 100], [1, 100, 1000]) == pytest.approx(1.5)


@pytest.mark.parametrize(("lengths", "values"), [([4, 4], [1, 2]), ([1, 2], [0, 1]), ([3], [3])])
def test_what_has_no_slope_is_named(lengths, values):
    with pytest.raises(ValueError, match="slope"):
        exponent(lengths, values)


def test_each_curve_is_named_with_its_exponent_and_looks_alike_in_all_panels():
    dense, line = (LENGTHS, [n**2 for n in LENGTHS]), (LENGTHS, [5 * n for n in LENGTHS])
    figure, alt = growth({"time (ms)": {"dense": dense, "line": line}, "memory (MiB)": {"line": line}}, "A title")
    first, second = figure.axes
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["dense: 2.00", "line: 1.00"]
    assert first.lines[1].get_marker() == second.lines[0].get_marker() != first.lines[0].get_marker()
    assert "time (ms), dense: from 6.554e+04 at 256 to 1.678e+07 at 4,096, exponent 2.00" in alt
    assert picture(figure, alt).alt == alt
