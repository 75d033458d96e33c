"""Where the norm of a sublayer stands: after it, as in 2017, or before it."""


def post_norm(x, sublayer, norm):
    """norm(x + sublayer(x)), as in Vaswani et al. 2017, section 3.1."""
    return norm(x + sublayer(x))


def pre_norm(x, sublayer, norm):
    """x + sublayer(norm(x)), as in Xiong et al. 2020. A stack of these needs one more norm after its last layer."""
    return x + sublayer(norm(x))
