"""overtaking_length: from which length on attention costs more than the feed-forward."""

from clearformer.checks.exercise import prediction
from clearformer.complexity import crossing_length

EXERCISE = prediction(
    "overtaking_length",
    lesson="12_efficient_attention",
    points=1,
    difficulty=2,
    minutes=5,
    asks="A layer with d_model 768 and d_ff 3072: at which length do scores and mixing take as many operations as the "
    "feed-forward?",
    number=crossing_length(3072),
    wrong=(
        (
            "the-width",
            768,
            "At T = d_model, scores and mixing take 4 d³ operations and the feed-forward 16 d³. The feed-forward has "
            "two maps, each four times as wide: the crossing lies further out.",
        ),
        (
            "projections-counted-to-attention",
            1536,
            "That is where attention with its projections, 8 T d² + 4 T² d, meets the feed-forward; or where scores "
            "and mixing meet one of the feed-forward's two maps. The question asks for scores and mixing alone, "
            "against both maps.",
        ),
        (
            "scores-without-mixing",
            6144,
            "You set 2 T² d equal to the feed-forward. The scores are one product of that size; mixing the values is "
            "the other.",
        ),
        (
            "against-everything-else",
            4608,
            "That is where scores and mixing meet all the rest of the layer, the projections too. The question asks "
            "for the feed-forward.",
        ),
        (
            "four-times-too-far",
            12288,
            "You multiplied d_ff by four. d_ff is four times d_model already, and the crossing lies at T = d_ff.",
        ),
        (
            "the-wrong-way-round",
            192,
            "You have d_model / 4. Set 4 T² d equal to 4 T d d_ff and take away what is on both sides.",
        ),
    ),
    hints=(
        "Write down both costs. Which factors do they share?",
        "Scores and mixing: 4 T² d_model. Feed-forward: 4 T d_model d_ff. Set them equal and divide by 4 T d_model.",
        "overtaking_length = d_ff, which is 4 * 768",
    ),
)
