"""rotary_embedding: each pair of neighbouring numbers turned by an angle that grows with the position."""

import torch

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.modules import tensor
from clearformer.nn.rotary import rotary_embedding as reference

ROOM = 1e-4  # angles may be computed in float32
ROOM_FAR_OUT = 2e-3  # a position of 3,001 times the rounding of float32


def output_and_gradient(answer, call):
    x = call.args[0]
    grad_output = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    output, gradients = answer.call_with_gradients(call.args, grad_output, call.kwargs)
    return {"output": output, "gradient of x": gradients[0]}


def output_alone(answer, call):
    return {"output": answer.call(*call.args, **call.kwargs)}


def scores_depend_on_the_distance_alone(answer, rng):
    query, key = (tensor(rng, 4, 6, dtype=torch.float32) for _ in range(2))
    scores = [
        answer.call(query, positions) @ answer.call(key, positions).mT
        for positions in (torch.arange(4), torch.arange(4) + 37)
    ]
    gap = float((scores[0] - scores[1]).abs().max())
    return None if gap < ROOM else f"all tokens were moved on by 37 places, and a score changed by {gap:.2g}"


def turning_keeps_the_length(answer, rng):
    x = tensor(rng, 2, 5, 8, dtype=torch.float32)
    gap = float((answer.call(x, torch.arange(5) * 11).norm(dim=-1) - x.norm(dim=-1)).abs().max())
    return None if gap < ROOM else f"a turned vector is as long as before, but here a length changed by {gap:.2g}"


def position_0_changes_nothing(answer, rng):
    x = tensor(rng, 1, 6, dtype=torch.float32)
    gap = float((answer.call(x, torch.zeros(1, dtype=torch.int64)) - x).abs().max())
    return None if gap < ROOM else f"at position 0 every angle is 0, and x moved by {gap:.2g}"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def usual_speeds(d, base):
    return base ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)  # (d / 2,)


def usual_angles(x, positions, speeds):
    return positions.double()[:, None] * speeds


def neighbours(x):
    return x[..., 0::2], x[..., 1::2]


def halves(x):
    return x.chunk(2, dim=-1)


def interleaved(first, second):
    return torch.stack([first, second], dim=-1).flatten(-2)


def one_after_the_other(first, second):
    return torch.cat([first, second], dim=-1)


def turned(first, second, cos, sin):
    return first * cos - second * sin, first * sin + second * cos


def variant(
    *, speeds=usual_speeds, angles=usual_angles, split=neighbours, turn=turned, join=interleaved, keep_dtype=True
):
    def rotary_embedding(x, positions, base=10000.0):
        angle = angles(x, positions, speeds(x.shape[-1], base))
        wide = torch.promote_types(x.dtype, torch.float32)
        cos, sin = angle.cos().to(wide), angle.sin().to(wide)
        found = join(*turn(*split(x.to(wide)), cos, sin))
        return found.to(x.dtype) if keep_dtype else found.double()

    return rotary_embedding


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


two_halves = wrong(
    "two-halves",
    "Your pairs are (first number, first of the second half), and so on. That is the layout of Hugging Face, and it "
    "is as good as the other, for weights that were trained with it. This exercise asks for adjacent pairs, as in the "
    "paper: numbers 0 and 1, 2 and 3, …",
    split=halves,
    join=one_after_the_other,
)
left_in_halves = wrong(
    "pairs-not-put-back",
    "The pairs are turned as they should be, but the result holds all first numbers and then all second ones. Put "
    "each pair back where it was: torch.stack(…, dim=-1).flatten(-2).",
    join=one_after_the_other,
)
halves_interleaved = wrong(
    "halves-put-back-as-pairs",
    "You take the pairs from the two halves and put them back side by side. Take them from neighbours: x[..., 0::2] "
    "and x[..., 1::2].",
    split=halves,
)
backwards = wrong(
    "turned-backwards",
    "Your pairs turn the other way: the sine has the wrong sign. This exercise asks for (a cos - b sin, a sin + b "
    "cos). Turned backwards, scores still depend on the distance alone, but weights trained with the other direction "
    "do not fit.",
    turn=lambda a, b, cos, sin: (a * cos + b * sin, b * cos - a * sin),
)
swapped_pair = wrong(
    "pair-swapped",
    "The two numbers of each pair have changed places. At position 0 nothing may change at all.",
    turn=lambda a, b, cos, sin: turned(a, b, cos, sin)[::-1],
)
no_minus = wrong(
    "no-minus",
    "Both sines come in with a plus. That is no rotation: vectors change their length. The first number is a cos - b "
    "sin.",
    turn=lambda a, b, cos, sin: (a * cos + b * sin, a * sin + b * cos),
)


def new_first_used(a, b, cos, sin):
    a = a * cos - b * sin
    return a, a * sin + b * cos


overwritten = wrong(
    "first-number-overwritten",
    "The second number is computed from the first one after that was turned. Compute both from the old pair: give the "
    "new numbers names of their own.",
    turn=new_first_used,
)
cosine_alone = wrong(
    "only-multiplied",
    "Each number is multiplied by the cosine, and the sines are missing. A turn mixes both numbers of a pair: "
    "(a cos - b sin, a sin + b cos).",
    turn=lambda a, b, cos, sin: (a * cos, b * cos),
)
added = wrong(
    "added-instead-of-turned",
    "You add the sines and cosines to x, as positions were added in 2017. Here the pairs of x are turned: nothing is "
    "added.",
    turn=lambda a, b, cos, sin: (a + sin, b + cos),
)
half_the_exponent = wrong(
    "exponent-i-over-d",
    "Your speeds are base^(-i/d). With i counting the pairs, the exponent is 2i/d: it runs from 0 to nearly 1.",
    speeds=lambda d, base: base ** -(torch.arange(d // 2, dtype=torch.float64) / d),
)
twice_the_exponent = wrong(
    "exponent-doubled-twice",
    "Your speeds fall twice as fast as they should: the 2 of 2i/d is in there two times. arange(0, d, 2) counts in "
    "twos already.",
    speeds=lambda d, base: base ** -(2 * torch.arange(0, d, 2, dtype=torch.float64) / d),
)
growing = wrong(
    "exponent-positive",
    "Your speeds grow from pair to pair. The exponent is negative: the first pair turns by 1 radian a position, all "
    "others more slowly.",
    speeds=lambda d, base: base ** (torch.arange(0, d, 2, dtype=torch.float64) / d),
)
one_speed = wrong(
    "one-speed-for-all",
    "All pairs turn by the same angle. Each has a speed of its own, base^(-2i/d) for pair i.",
    speeds=lambda d, base: torch.ones(d // 2, dtype=torch.float64),
)
reaching_one_over_base = wrong(
    "exponent-to-the-end",
    "Your exponents run to exactly 1, i/(d/2 - 1). They are 2i/d: the last one stays below 1.",
    speeds=lambda d, base: base ** -torch.linspace(0, 1 if d > 2 else 0, d // 2, dtype=torch.float64),
)
base_fixed = wrong(
    "base-not-used",
    "You always use 10,000. The caller may ask for another base, and newer models do: use the argument.",
    speeds=lambda d, base: usual_speeds(d, 10000.0),
)
positions_not_used = wrong(
    "positions-not-used",
    "You turn token number t by position t, whatever positions says. A token that comes after a cache of 100 is at "
    "position 100, though it is the first of its chunk: use the argument.",
    angles=lambda x, positions, speeds: usual_angles(x, torch.arange(len(positions)), speeds),
)
from_one = wrong(
    "counted-from-one",
    "You add 1 to the positions. Scores do not mind, but this exercise asks for the angle position · speed: at "
    "position 0 nothing turns.",
    angles=lambda x, positions, speeds: usual_angles(x, positions + 1, speeds),
)
in_degrees = wrong(
    "degrees",
    "Your angles are taken as degrees. position · speed is in radians, which is what cos and sin expect.",
    angles=lambda x, positions, speeds: usual_angles(x, positions, speeds).deg2rad(),
)


def along_the_heads(x, positions, speeds):
    angle = usual_angles(x, positions, speeds)
    return angle[:, None] if x.ndim > 2 and x.shape[-3] == len(positions) else angle


wrong_axis = wrong(
    "along-the-heads",
    "The angles run along the axis in front of the tokens: head number t is turned by position t. x is (..., T, d), so "
    "positions belong to the last axis but one.",
    angles=along_the_heads,
)
angles_in_half = wrong(
    "angles-in-half-precision",
    "Your angles are computed in x's half precision, which knows about 3 digits: position 3,001 becomes 3,000 there. "
    "Compute angles in float32 at least, and go back to x's dtype at the end.",
    angles=lambda x, positions, speeds: positions.to(x.dtype)[:, None] * speeds.to(x.dtype),
)
wider_returned = wrong(
    "wider-dtype-returned",
    "The numbers are right, but you return a wider dtype than x has: the angles were wider, and the result with them. "
    "Give back x's: .to(x.dtype).",
    keep_dtype=False,
)


@misconception(
    "angles-of-the-other-layout",
    "Your pairs are neighbours, but your angles are laid out for two halves, all speeds and then all speeds again. "
    "Then the two numbers of a pair turn by different angles. Each angle is needed twice in a row: take "
    "repeat_interleave(2), or turn a = x[..., 0::2] and b = x[..., 1::2] by themselves.",
)
def angles_of_the_other_layout(x, positions, base=10000.0):
    angle = usual_angles(x, positions, usual_speeds(x.shape[-1], base))
    cos, sin = (torch.cat([each, each], dim=-1) for each in (angle.cos(), angle.sin()))
    quarter_turn = torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2)
    return (x * cos + quarter_turn * sin).to(x.dtype)


def by_complex_numbers(x, positions, base=10000.0):
    """Another right answer: a pair is a complex number, and turning is a product."""
    angle = usual_angles(x, positions, usual_speeds(x.shape[-1], base))
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2).to(x.dtype)


def by_matrices(x, positions, base=10000.0):
    """Another right answer: a 2 × 2 matrix for each position and pair."""
    angle = usual_angles(x, positions, usual_speeds(x.shape[-1], base))
    cos, sin = angle.cos(), angle.sin()
    turns = torch.stack([torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)], dim=-2)
    return torch.einsum("tiab,...tib->...tia", turns, x.double().unflatten(-1, (-1, 2))).flatten(-2).to(x.dtype)


def in_single_precision(x, positions, base=10000.0):
    """Another right answer: angles in float32, as most libraries have them, and a quarter turn of all pairs."""
    speeds = 1.0 / base ** (torch.arange(0, x.shape[-1], 2).float() / x.shape[-1])
    angle = torch.outer(positions.float(), speeds)
    cos, sin = (each.repeat_interleave(2, dim=-1) for each in (angle.cos(), angle.sin()))
    quarter_turn = torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(-2)
    return (x * cos + quarter_turn * sin).to(x.dtype)


def drawn(*shape, positions=None, dtype=torch.float32, **kwargs):
    def draw(rng):
        at = torch.arange(shape[-2]) if positions is None else torch.tensor(positions)
        return Call(tensor(rng, *shape, dtype=dtype), at, **kwargs)

    return draw


def strided(rng):
    return Call(tensor(rng, 6, 3, 2, dtype=torch.float32).transpose(0, 2), torch.tensor([4, 1, 7]))


EXERCISE = Exercise(
    name="rotary_embedding",
    lesson="10_llama_block",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Turn pair i of each token's vector, numbers 2i and 2i + 1, by the angle position · base^(-2i/d).",
    reference=reference,
    returns=("output",),
    cases=(
        Case("three tokens of width 2", drawn(3, 2), "one pair, of speed 1", ask=output_alone),
        Case("three tokens of width 4", drawn(3, 4), "two pairs", ask=output_and_gradient),
        Case("width 8", drawn(4, 8), ask=output_and_gradient),
        Case("batch, heads, tokens", drawn(2, 3, 4, 6), ask=output_and_gradient),
        Case("as many heads as tokens", drawn(2, 3, 3, 4), "both axes are equally long", ask=output_and_gradient),
        Case(
            "positions after a cache",
            drawn(1, 2, 3, 6, positions=[5, 6, 7]),
            "the first token of a chunk need not be at 0",
            ask=output_and_gradient,
        ),
        Case("positions in any order", drawn(2, 4, 6, positions=[9, 0, 9, 2]), ask=output_and_gradient),
        Case("one token far out", drawn(1, 8, positions=[3001]), ask=output_and_gradient, close=ROOM_FAR_OUT),
        Case("another base", drawn(3, 6, base=100.0), ask=output_and_gradient),
        Case("not contiguous", strided, ask=output_and_gradient),
        Case(
            "half precision, positions in the thousands",
            drawn(2, 4, 8, positions=[3001, 3002, 3003, 3004], dtype=torch.float16),
            "the angles need more digits than float16 has",
            ask=output_alone,
        ),
        Case("double precision", drawn(2, 3, 4, dtype=torch.float64), ask=output_and_gradient, close=ROOM),
    ),
    properties=(
        Property("scores depend on the distance alone", scores_depend_on_the_distance_alone),
        Property("turning keeps the length", turning_keeps_the_length),
        Property("position 0 changes nothing", position_0_changes_nothing),
    ),
    misconceptions=(
        two_halves,
        left_in_halves,
        halves_interleaved,
        backwards,
        swapped_pair,
        no_minus,
        overwritten,
        cosine_alone,
        added,
        half_the_exponent,
        twice_the_exponent,
        growing,
        one_speed,
        reaching_one_over_base,
        base_fixed,
        positions_not_used,
        from_one,
        in_degrees,
        wrong_axis,
        angles_in_half,
        angles_of_the_other_layout,
        wider_returned,
    ),
    alternatives=(by_complex_numbers, by_matrices, in_single_precision),
    hints=(
        "Take the numbers of each vector in pairs of neighbours. A pair (a, b) turned by an angle is (a cos - b sin, "
        "a sin + b cos). Each pair has a speed, and the angle is position · speed.",
        "speeds = base ** (-torch.arange(0, d, 2) / d), shape (d/2,). angles = positions[:, None] * speeds, shape "
        "(T, d/2), in float32 or wider. a = x[..., 0::2], b = x[..., 1::2]; turn; put the pairs back side by side.",
        "torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)",
    ),
)
