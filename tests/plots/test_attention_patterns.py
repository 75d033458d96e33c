import numpy as np

from clearformer.plots import picture
from clearformer.plots.attention_patterns import patterns


def test_each_pattern_is_drawn_and_its_share_said():
    masks = {"causal": np.tri(4, dtype=bool), "all": np.ones((50, 50), bool)}
    figure, alt = patterns(masks, "Two patterns")
    drawn = [np.ma.getmaskarray(panel.images[0].get_array()) for panel in figure.axes]
    assert all(np.array_equal(~hidden, mask) for hidden, mask in zip(drawn, masks.values(), strict=True))
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "causal\n62% of the pairs",
        "all\n100% of the pairs",
    ]
    assert "causal: 62% of the pairs seen, 1 to 4 keys a query" in alt
    assert picture(figure, alt).alt == alt
