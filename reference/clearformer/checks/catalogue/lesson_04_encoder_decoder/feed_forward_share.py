"""feed_forward_share: where the parameters of a layer sit."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "feed_forward_share",
    lesson="04_encoder_decoder",
    points=1,
    difficulty=2,
    minutes=5,
    asks="Which share of the parameters of EncoderLayer(512, 8, 2048) sits in its feed-forward, as a number from 0 to "
    "1? One in a hundred more or less does not matter.",
    number=2_099_712 / 3_152_384,
    close=0.01,
    wrong=(
        (
            "in-percent",
            100 * 2_099_712 / 3_152_384,
            "Right, in percent. This exercise asks for a share: a number from 0 to 1.",
        ),
        (
            "the-attentions-share",
            1_050_624 / 3_152_384,
            "That is the share of the attention. The feed-forward has the rest, but for the two small norms.",
        ),
        (
            "a-half",
            1_050_624 / 2_103_296,
            "About a half comes out if you count one map of the feed-forward; there are two, out and back. It also "
            "comes out for a decoder layer, which has two attentions; an encoder layer has one.",
        ),
        (
            "one-attention-matrix",
            2_099_712 / (2_099_712 + 262_656),
            "You counted one matrix of 512 · 512 for the attention. It has four: query, key, value and output.",
        ),
        (
            "three-attention-matrices",
            2_099_712 / (2_099_712 + 787_968),
            "You counted three matrices for the attention. The output projection makes four.",
        ),
        (
            "attention-times-the-heads",
            2_099_712 / (2_099_712 + 8 * 1_050_624),
            "You counted the four matrices of the attention eight times, once a head. The heads share the width: four "
            "matrices of 512 · 512 serve them all.",
        ),
        (
            "times-the-attention",
            2_099_712 / 1_050_624,
            "That is how many times as large as the attention it is. The question asks for its share of the whole "
            "layer.",
        ),
    ),
    hints=(
        "Count the matrices in units of 512 · 512. How many are in the attention? How many does one map from 512 to "
        "2048 make?",
        "The attention has 4 units. The feed-forward has two maps of 4 units each. Biases and norms are too small to "
        "matter here.",
        "share = 8 / (4 + 8)",
    ),
)
