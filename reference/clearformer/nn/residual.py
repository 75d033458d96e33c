"""What encoder and decoder layers have in common: what stands around each of their sublayers."""

from torch import nn

from clearformer.nn._arguments import require_choice, require_dropout
from clearformer.nn.dropout import Dropout

NORM_PLACEMENTS = ("post", "pre")


class ResidualLayer(nn.Module):
    """A layer whose sublayers each have dropout, a residual connection and a norm; norm: "post" or "pre"."""

    def __init__(self, dropout, norm):
        super().__init__()
        require_choice("norm", norm, NORM_PLACEMENTS)
        require_dropout(dropout)
        self.dropout = Dropout(dropout)
        self.norm_placement = norm

    def connect(self, x, sublayer, norm):
        """norm(x + dropout(sublayer(x))), as in Vaswani et al. 2017, section 3.1, or x + dropout(sublayer(norm(x))).

        The second, "pre", is that of Xiong et al. 2020. A stack of these needs one more norm after its last layer.
        """
        if self.norm_placement == "pre":
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def extra_repr(self):
        return f"norm={self.norm_placement!r}"


def one_after_the_other(layers, x, *others):
    """x through all layers, each called as layer(x, *others)."""
    for layer in layers:
        x = layer(x, *others)
    return x
