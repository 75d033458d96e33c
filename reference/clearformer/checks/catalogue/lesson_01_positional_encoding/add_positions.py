"""add_positions: hunt two bugs where words and positions are added."""

import math

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def add_positions(embeddings, encoding):
    """embeddings (..., seq_len, d_model) times √d_model, plus the first seq_len rows of encoding (max_len, d_model)."""
    seq_len, d_model = embeddings.shape[-2:]
    return embeddings * math.sqrt(d_model) + encoding[:seq_len]


def the_encoding_goes_in_unscaled(answer, rng):
    embeddings, encoding = rng.normal(size=(5, 9)), rng.normal(size=(5, 9))
    share = answer.call(embeddings, encoding) - answer.call(embeddings, np.zeros_like(encoding))
    gap = np.abs(share - encoding).max()
    return None if gap < 1e-9 else f"what the encoding adds to the sum differs from the encoding by up to {gap:.4f}"


def words_are_scaled_by_the_root(answer, rng):
    embeddings, encoding = rng.normal(size=(5, 9)), rng.normal(size=(5, 9))
    share = answer.call(2 * embeddings, encoding) - answer.call(embeddings, encoding)
    gap = np.abs(share - 3 * embeddings).max()
    return None if gap < 1e-9 else f"with d_model = 9 the words should count 3 times; they are off by up to {gap:.4f}"


@misconception(
    "adds-before-the-scale",
    "The caller's array is safe now. One bug is left: you add the positions and then scale the sum, so the positions "
    "grow by √d_model too and the balance between word and position is as if nothing had been scaled. "
    "Scale the embeddings, then add.",
)
def adds_before_the_scale(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    return (embeddings + encoding[:seq_len]) * math.sqrt(d_model)


@misconception(
    "not-mended",
    "This is the code as it was. It adds the positions before the scale, so they are scaled along with the words; and "
    "*= and += write into the caller's embeddings, so a second call starts from other numbers. Scale first, add "
    "after, and make a new array.",
)
def not_mended(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    embeddings += encoding[:seq_len]
    embeddings *= math.sqrt(d_model)
    return embeddings


@misconception(
    "still-in-place",
    "The numbers are right. One bug is left: *= or += writes into the caller's embeddings, so a second call starts "
    "from other numbers. Write embeddings * …, which makes a new array.",
)
def still_in_place(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    embeddings *= math.sqrt(d_model)
    return embeddings + encoding[:seq_len]


@misconception(
    "scale-forgotten",
    "The scale is gone altogether. With embeddings of variance 1/d_model the positions then drown the words: "
    "at d_model = 512 their mean square is 256 times as large. Multiply the embeddings by √d_model first.",
)
def scale_forgotten(embeddings, encoding):
    return embeddings + encoding[: embeddings.shape[-2]]


@misconception(
    "positions-scaled-instead",
    "You multiply the positions by √d_model and leave the words as they are. It is the other way round: the words are "
    "small and have to grow, the sines and cosines already have the right size.",
)
def positions_scaled_instead(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    return embeddings + encoding[:seq_len] * math.sqrt(d_model)


@misconception(
    "divided-by-the-root",
    "You divide by √d_model, as attention does with its scores. Here it is a factor: embeddings start with variance "
    "1/d_model, and times √d_model they have variance 1.",
)
def divided_by_the_root(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    return embeddings / math.sqrt(d_model) + encoding[:seq_len]


@misconception(
    "root-forgotten",
    "You multiply by d_model, without the root. Variance grows with the square of a factor: from 1/d_model to 1 takes "
    "the factor √d_model.",
)
def root_forgotten(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    return embeddings * d_model + encoding[:seq_len]


@misconception(
    "root-of-the-length",
    "You take the root of the text's length. The factor is √d_model, the root of the last axis: the scale of a word "
    "must not depend on how long the text is.",
)
def root_of_the_length(embeddings, encoding):
    seq_len = embeddings.shape[-2]
    return embeddings * math.sqrt(seq_len) + encoding[:seq_len]


@misconception(
    "length-of-the-batch",
    "You count tokens with len(embeddings), which is the first axis: in a batch that is the number of texts. "
    "seq_len is embeddings.shape[-2], with a batch or without.",
)
def length_of_the_batch(embeddings, encoding):
    return embeddings * math.sqrt(embeddings.shape[-1]) + encoding[: len(embeddings)]


@misconception(
    "encoding-not-cut",
    "You add the whole encoding. It may have more rows than the text has tokens: take its first seq_len rows.",
)
def encoding_not_cut(embeddings, encoding):
    return embeddings * math.sqrt(embeddings.shape[-1]) + encoding


@misconception(
    "last-rows-of-the-encoding",
    "You take the last rows of the encoding. The first token stands at position 0: take the first seq_len rows.",
)
def last_rows_of_the_encoding(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    return embeddings * math.sqrt(d_model) + encoding[-seq_len:]


@misconception(
    "becomes-float64",
    "The numbers are right, but float32 came in and float64 went out. np.sqrt returns a NumPy float64, which makes "
    "float32 arrays wider; math.sqrt returns a plain Python number, which does not.",
)
def becomes_float64(embeddings, encoding):
    seq_len, d_model = embeddings.shape[-2:]
    return embeddings * np.sqrt(d_model) + encoding[:seq_len]


def token_by_token(embeddings, encoding):
    """Another right answer: a loop over the positions, written into a new array."""
    result = np.empty_like(embeddings)
    for position in range(embeddings.shape[-2]):
        result[..., position, :] = embeddings[..., position, :] * embeddings.shape[-1] ** 0.5 + encoding[position]
    return result


def on_a_copy(embeddings, encoding):
    """Another right answer: in place, on a copy."""
    result = embeddings.copy()
    result *= math.sqrt(embeddings.shape[-1])
    result += encoding[: embeddings.shape[-2]]
    return result


def arrays(batch, seq_len, d_model, max_len, dtype=np.float64):
    """Embeddings as the course starts them, variance 1/d_model, and any encoding of size 1."""

    def draw(rng):
        embeddings = rng.normal(scale=d_model**-0.5, size=(*batch, seq_len, d_model)).astype(dtype)
        return Call(embeddings, rng.uniform(-1.0, 1.0, size=(max_len, d_model)).astype(dtype))

    return draw


EXERCISE = Exercise(
    name="add_positions",
    lesson="01_positional_encoding",
    kind="hunt",
    points=2,
    difficulty=2,
    minutes=10,
    asks="Mend both bugs: the embeddings times √d_model, plus the first rows of the encoding, in a new array.",
    reference=add_positions,
    returns=("sum",),
    cases=(
        Case("two tokens, four columns", arrays((), 2, 4, 2)),
        Case("an encoding longer than the text", arrays((), 3, 4, 5), "only its first rows count"),
        Case("a batch of two texts", arrays((2,), 3, 4, 6), "the same positions for every text of the batch"),
        Case("a batch of one text", arrays((1,), 4, 6, 4)),
        Case("as many texts as tokens", arrays((3,), 3, 4, 3)),
        Case("single precision", arrays((2,), 3, 8, 5, np.float32), "the sum has the dtype of the inputs"),
    ),
    properties=(
        Property("the encoding goes in as it is", the_encoding_goes_in_unscaled),
        Property("the words count √d_model times", words_are_scaled_by_the_root),
    ),
    misconceptions=(
        adds_before_the_scale,
        not_mended,
        still_in_place,
        scale_forgotten,
        positions_scaled_instead,
        divided_by_the_root,
        root_forgotten,
        root_of_the_length,
        length_of_the_batch,
        encoding_not_cut,
        last_rows_of_the_encoding,
        becomes_float64,
    ),
    alternatives=(token_by_token, on_a_copy),
    hints=(
        "There are two bugs. One shows in the first call, in how large the words are beside the positions. The other "
        "shows only in the second call.",
        "Which of the two should √d_model act on, and when? And what do += and *= do to an array that belongs to "
        "somebody else?",
        "return embeddings * math.sqrt(d_model) + encoding[:seq_len]",
    ),
)
