import math

import pytest

from clearformer.plots import picture
from clearformer.plots.running_softmax import running_softmax

SCORES = [0.0, 1.0, 3.0, 2.0, 5.0]


@pytest.mark.parametrize(("blocks", "seen", "old"), [(0, 0, 0), (1, 2, 0), (2, 4, 2), (3, 5, 4)])
def test_the_bars_add_up_to_the_running_sum(blocks, seen, old):
    figure, alt = running_softmax(SCORES, 2, blocks)
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    wanted = [math.exp(score - max(SCORES[:seen])) for score in SCORES[:seen]] + [0.0] * (5 - seen)
    assert heights == pytest.approx(wanted)
    assert f"After {seen} of 5 keys" in alt
    assert picture(figure, alt).alt == alt
    if seen:
        factor = math.exp(max(SCORES[:old], default=-math.inf) - max(SCORES[:seen]))
        assert f"the sum {sum(wanted):.3f}" in alt and f"multiplied by {factor:.3f}" in alt
