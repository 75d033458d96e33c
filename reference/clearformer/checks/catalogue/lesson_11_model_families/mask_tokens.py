"""mask_tokens: choose tokens, hide most of them, and label all that were chosen. Checked by counting."""

import numpy as np

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.given import Generator
from clearformer.training.masked_tokens import mask_tokens as reference

MASK, VOCAB, SPECIAL = 4, 1000, [0, 1, 2, 3, 4]
IGNORED = -100


def in_words(share, texts):
    return next(text for least, text in texts if share >= least)


def listed(ids):
    return ", ".join(map(str, np.unique(ids))) or "none"


def kinds(token_ids, mask_id, inputs, labels):
    """Four bool arrays: graded; and of these masked, another token, left."""
    graded = labels != IGNORED
    masked = graded & (inputs == mask_id)
    left = graded & (inputs == token_ids) & ~masked
    return graded, masked, graded & ~masked & ~left, left


def _as_they_are(args):
    """The arguments with the tokens of now, whatever an answer makes of its own."""
    token_ids, *rest = args
    return token_ids.copy(), *rest


def looked_at(answer, call):
    """((inputs, labels), None), or (None, what is said instead where one cannot count in what came)."""
    found = answer.call(*call.args, **call.kwargs)
    if not isinstance(found, tuple) or len(found) != 2:
        return None, {"what is returned": "not a tuple of two"}
    forms = [f"{each.dtype} {each.shape}" if isinstance(each, np.ndarray) else "no array" for each in found]
    wanted = f"int64 {call.args[0].shape}"
    return (found, None) if forms == [wanted] * 2 else (None, {"what is returned": ", ".join(forms)})


def shares(answer, call):
    """What can be counted in many tokens, with room for chance: each tolerance is five standard deviations or more."""
    token_ids, mask_id, _, special_ids, *_ = _as_they_are(call.args)
    found, instead = looked_at(answer, call)
    if instead:
        return instead
    inputs, labels = found
    graded, masked, other, left = kinds(token_ids, mask_id, inputs, labels)
    ordinary = ~np.isin(token_ids, special_ids)
    total = max(int(graded.sum()), 1)
    return {
        "what is returned": f"int64 {token_ids.shape}, int64 {token_ids.shape}",
        "share of ordinary tokens that are graded": float((graded & ordinary).sum() / ordinary.sum()),
        "share of the graded that are masked": float(masked.sum() / total),
        "share of the graded that are another token": float(other.sum() / total),
        "share of the graded that are left": float(left.sum() / total),
        "any graded that are another token": "yes" if other.any() else "no",
        "share of the ungraded that differ": float(((inputs != token_ids) & ~graded).mean()),
        "share of the labels that are the token": float((labels == token_ids)[graded].mean()) if graded.any() else 1.0,
        "special ids that are graded": listed(token_ids[graded & ~ordinary]),
        "special ids that are changed": listed(token_ids[(inputs != token_ids) & ~ordinary]),
    }


def structure(answer, call):
    """How the choice is spread over rows and columns, and which other tokens are put in."""
    token_ids, mask_id, vocab_size, *_ = _as_they_are(call.args)
    found, instead = looked_at(answer, call)
    if instead:
        return instead
    inputs, labels = found
    graded, _, other, _ = kinds(token_ids, mask_id, inputs, labels)
    chance = np.sqrt(graded.mean() * (1 - graded.mean()) * np.array(graded.shape[::-1])) + 1e-9
    spreads = [graded.sum(axis=axis).std() / chance[place] for place, axis in enumerate((1, 0))]
    words = [(1.5, "more than by chance"), (0.6, "as by chance"), (0.0, "less than by chance")]
    different = len(np.unique(inputs[other]))
    return {
        "number graded in a row: differs": in_words(spreads[0], words),
        "number graded in a column: differs": in_words(spreads[1], words),
        "other tokens put in": "many different" if different > 100 else "few different",
        "ids of the inputs": "all below vocab_size" if inputs.max() < vocab_size else "some too large",
        "ids of the inputs, the smallest": "0 or more" if inputs.min() >= 0 else "below 0",
    }


def twice(answer, call):
    """The same seed twice, and another one."""
    *most, _ = call.args
    first, again, another = (answer.call(*_as_they_are(most), Generator(seed)) for seed in (5, 5, 6))

    def same(one, other):
        return all(type(a) is type(b) and np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    return {
        "two calls with the same seed": "the same" if same(first, again) else "differ",
        "another seed": "the same" if same(first, another) else "differs",
    }


def labels_are_what_was_there(answer, rng):
    token_ids, *rest = some_text(rng).args
    _, labels = answer.call(token_ids.copy(), *rest)
    graded = np.asarray(labels) != IGNORED
    return None if np.array_equal(labels[graded], token_ids[graded]) else "some labels are not the token that was there"


def what_is_not_graded_is_not_changed(answer, rng):
    token_ids, *rest = some_text(rng).args
    inputs, labels = answer.call(token_ids.copy(), *rest)
    changed = (np.asarray(inputs) != token_ids) & (np.asarray(labels) == IGNORED)
    return f"{int(changed.sum())} tokens were changed, and nobody will ask for them" if changed.any() else None


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def each_by_itself(token_ids, rate, rng):
    return rng.random(token_ids.shape) < rate


def eighty_ten_ten(chosen, rng):
    lot = rng.random(chosen.shape)
    return chosen & (lot < 0.8), chosen & (lot >= 0.9)


def graded_are_chosen(chosen, masked, replaced):
    return chosen


def any_token(ordinary, shape, rng):
    return rng.choice(ordinary, shape)


def variant(
    *,
    choose=each_by_itself,
    split=eighty_ten_ten,
    graded=graded_are_chosen,
    others=any_token,
    special=lambda special_ids: special_ids,
    label=lambda token_ids, inputs: token_ids,
    ignored=IGNORED,
    generator=lambda rng: rng,
):
    def mask_tokens(token_ids, mask_id, vocab_size, special_ids, rng, rate=0.15):
        rng = generator(rng)
        left_alone = special(special_ids)
        chosen = choose(token_ids, rate, rng) & ~np.isin(token_ids, left_alone)
        masked, replaced = split(chosen, rng)
        ordinary = np.setdiff1d(np.arange(vocab_size), special_ids)
        inputs = np.where(masked, mask_id, token_ids)
        inputs = np.where(replaced, others(ordinary, token_ids.shape, rng), inputs)
        labels = np.where(graded(chosen, masked, replaced), label(token_ids, inputs), ignored)
        return inputs, labels

    return mask_tokens


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def all_masked(chosen, rng):
    return chosen, np.zeros_like(chosen)


def nobody_kept(chosen, rng):
    masked = rng.random(chosen.shape) < 0.8
    return chosen & masked, chosen & ~masked


def nobody_replaced(chosen, rng):
    return chosen & (rng.random(chosen.shape) < 0.8), np.zeros_like(chosen)


def first_masked_then_replaced(chosen, rng):
    replaced = chosen & (rng.random(chosen.shape) < 0.1)
    return chosen & ~replaced, replaced


def of_what_is_left(chosen, rng):
    masked = chosen & (rng.random(chosen.shape) < 0.8)
    return masked, chosen & ~masked & (rng.random(chosen.shape) < 0.1)


def shares_swapped(chosen, rng):
    lot = rng.random(chosen.shape)
    return chosen & (lot < 0.1), chosen & (lot >= 0.2)


def the_same_number_in_each_row(token_ids, rate, rng):
    order = rng.random(token_ids.shape).argsort(axis=-1).argsort(axis=-1)
    return order < round(rate * token_ids.shape[-1])


def the_same_columns_in_each_row(token_ids, rate, rng):
    return np.broadcast_to(rng.random(token_ids.shape[-1]) < rate, token_ids.shape)


def whole_rows(token_ids, rate, rng):
    return np.broadcast_to(rng.random((*token_ids.shape[:-1], 1)) < rate, token_ids.shape)


always_masked = wrong(
    "always-masked",
    "Every chosen token is masked here. Of 100 chosen ones 80 are masked, 10 become another token and 10 stay. If you "
    "use one random number both for choosing a token and for what becomes of it, this happens too: a chosen one is "
    "always below 0.15. Draw a second one.",
    split=all_masked,
)
kept_ones_missing = wrong(
    "nobody-left",
    "No chosen token stays as it is: you mask 80 and replace 20 of 100. 10 are replaced and 10 stay, so that a model "
    "cannot take it for granted that a word it sees is either wrong or of no interest.",
    split=nobody_kept,
)
replaced_ones_missing = wrong(
    "nobody-replaced",
    "No chosen token becomes another one: you mask 80 of 100 and leave 20. 10 of these become another token, so that "
    "a model has to ask of each word that it sees whether it fits.",
    split=nobody_replaced,
)
ninety_and_ten = wrong(
    "ninety-and-ten",
    "You mask 90 of 100 chosen tokens and replace 10, and none stays. It is 80 masked, 10 replaced and 10 left as they "
    "are, and these are graded too.",
    split=first_masked_then_replaced,
)
a_tenth_of_the_rest = wrong(
    "a-tenth-of-the-rest",
    "You replace 10 in 100 of what the masks have left, 2 in 100 of the chosen. It should be half of the rest, which "
    "is 10 in 100 of the chosen. One random number for all three cases is simpler: below 0.8, up to 0.9, above.",
    split=of_what_is_left,
)
ten_masked = wrong(
    "ten-masked",
    "You mask 10 of 100 chosen tokens and replace 80. It is the other way round: 80 masked, 10 replaced, 10 left.",
    split=shares_swapped,
)
kept_not_graded = wrong(
    "kept-ones-not-graded",
    "Tokens that were chosen and stay as they are have no label here. Then leaving them does nothing at all. They are "
    "graded like the other chosen ones: that is what makes a model work on words that it can see.",
    graded=lambda chosen, masked, replaced: masked | replaced,
)
masked_alone_graded = wrong(
    "masked-alone-graded",
    "Only masked tokens have a label here. All chosen tokens are graded, those that became another token and those "
    "that stayed too.",
    graded=lambda chosen, masked, replaced: masked,
)
everything_graded = wrong(
    "everything-graded",
    "Every token has a label here. Then nearly all of the loss comes from words that the model can read off its "
    "input. Where nothing was chosen the label is -100, which the loss leaves out.",
    graded=lambda chosen, masked, replaced: np.ones_like(chosen),
)
labels_turned_round = wrong(
    "labels-turned-round",
    "Your labels are turned round: -100 where a token was chosen, and the token everywhere else.",
    graded=lambda chosen, masked, replaced: ~chosen,
)
labels_are_the_inputs = wrong(
    "labels-are-the-inputs",
    "Your labels hold what the model reads, the mask among it. They hold the token that was there before.",
    label=lambda token_ids, inputs: inputs,
)
zero_for_ignored = wrong(
    "zero-for-ignored",
    "Where nothing is asked your labels are 0. That is a token like others, and the loss would count it. This exercise "
    "asks for -100, which F.cross_entropy leaves out.",
    ignored=0,
)
special_ones_chosen = wrong(
    "special-ones-chosen",
    "You choose special tokens too, such as padding. Those in special_ids are never chosen.",
    special=lambda special_ids: [],
)
padding_alone_spared = wrong(
    "zero-alone-spared",
    "You spare the id 0, whatever special_ids says. Every id in that list is left alone, and 0 only if it is in it.",
    special=lambda special_ids: [0],
)
first_special_alone_spared = wrong(
    "first-special-one-spared",
    "You spare only the first of special_ids. Every id in that list is left alone: np.isin(token_ids, special_ids).",
    special=lambda special_ids: special_ids[:1],
)
rate_not_used = wrong(
    "rate-not-used",
    "You choose 15 in 100, whatever rate says.",
    choose=lambda token_ids, rate, rng: each_by_itself(token_ids, 0.15, rng),
)
rate_turned_round = wrong(
    "rate-turned-round",
    "You choose the share 1 - rate. A random number from 0 to 1 is below rate in the share `rate` of all cases.",
    choose=lambda token_ids, rate, rng: each_by_itself(token_ids, 1 - rate, rng),
)
same_number_in_each_row = wrong(
    "same-number-in-each-row",
    "You choose the same number of tokens in each row. Some programs do that. This exercise asks for each token to be "
    "chosen by itself, with probability rate.",
    choose=the_same_number_in_each_row,
)
same_places_in_each_row = wrong(
    "same-places-in-each-row",
    "You choose the same places in every row. Draw a random number for each token: rng.random(token_ids.shape).",
    choose=the_same_columns_in_each_row,
)
rows_chosen_whole = wrong(
    "rows-chosen-whole",
    "You choose whole rows. Draw a random number for each token: rng.random(token_ids.shape).",
    choose=whole_rows,
)
one_token_for_all = wrong(
    "one-token-for-all",
    "You put the same other token everywhere. Draw one for each place.",
    others=lambda ordinary, shape, rng: np.full(shape, rng.choice(ordinary)),
)
generator_of_its_own = wrong(
    "generator-with-a-seed-of-its-own",
    "Your result is the same whatever rng is: you draw from a generator with a seed of its own. Draw from rng.",
    generator=lambda rng: np.random.default_rng(0),
)
another_generator = wrong(
    "not-from-rng",
    "The same seed gives another result each time: you draw from somewhere else than rng. Draw from rng alone.",
    generator=lambda rng: np.random.default_rng(),
)


@misconception(
    "changes-its-input",
    "The result is right, but you changed token_ids itself, and the text is lost. Work on a copy.",
)
def changes_its_input(token_ids, mask_id, vocab_size, special_ids, rng, rate=0.15):
    inputs, labels = plain(token_ids, mask_id, vocab_size, special_ids, rng, rate)
    token_ids[...] = inputs
    return inputs, labels


plain = variant()


def special_ones_put_in(token_ids, mask_id, vocab_size, special_ids, rng, rate=0.15):
    """Another right answer: the random ids may be special ones; token after token, without arrays."""
    flat, inputs, labels = token_ids.reshape(-1), [], []
    special = set(special_ids)
    draws = rng.random((flat.size, 2)).tolist()
    others = rng.integers(vocab_size, size=flat.size).tolist()
    for token, (first, second), other in zip(flat.tolist(), draws, others, strict=True):
        chosen = first < rate and token not in special
        labels.append(token if chosen else IGNORED)
        inputs.append(token if not chosen or second >= 0.9 else mask_id if second < 0.8 else other)
    return tuple(np.array(each, dtype=np.int64).reshape(token_ids.shape) for each in (inputs, labels))


def by_places(token_ids, mask_id, vocab_size, special_ids, rng, rate=0.15):
    """Another right answer: the chosen places first, then a kind for each of them."""
    inputs, labels = token_ids.copy(), np.full(token_ids.shape, IGNORED)
    places = np.nonzero((rng.uniform(size=token_ids.shape) < rate) & ~np.isin(token_ids, special_ids))
    labels[places] = token_ids[places]
    kind = rng.choice(3, size=len(places[0]), p=[0.8, 0.1, 0.1])
    ordinary = [token for token in range(vocab_size) if token not in special_ids]
    new = np.where(kind == 0, mask_id, rng.choice(ordinary, size=len(kind)))
    inputs[places] = np.where(kind == 2, token_ids[places], new)
    return inputs, labels


def text(rng, shape, special=0.0, special_ids=SPECIAL, vocab=VOCAB):
    """Ordinary tokens, and special ones for the share `special`."""
    ordinary = np.setdiff1d(np.arange(vocab), special_ids)
    ids = rng.choice(ordinary, shape)
    return np.where(rng.random(shape) < special, rng.choice(special_ids, shape), ids)


def drawn(shape, special=0.0, special_ids=SPECIAL, mask_id=MASK, **kwargs):
    def draw(rng):
        ids = text(rng, shape, special, special_ids)
        return Call(ids, mask_id, VOCAB, list(special_ids), Generator(int(rng.integers(1 << 30))), **kwargs)

    return draw


def some_text(rng):
    return drawn((40, 50), special=0.2)(rng)


def case(name, draw, because="", ask=shares, close=0.06):
    return Case(name, draw, because, ask=ask, close=close, scale=1.0)


EXERCISE = Exercise(
    name="mask_tokens",
    lesson="11_model_families",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Choose tokens at random, hide 80 of 100 of them, replace 10, leave 10, and label them all.",
    reference=reference,
    returns=("inputs", "labels"),
    cases=(
        case("rate 0", drawn((2, 5), rate=0.0), "nothing is chosen"),
        case("many tokens", drawn((200, 200)), "15 in 100 chosen; of these 80, 10 and 10", close=0.03),
        case("special tokens among them", drawn((60, 200), 0.3, [3, 0, 4, 1, 2]), "they are never chosen"),
        case("every token chosen", drawn((40, 100), rate=1.0)),
        case("another rate", drawn((60, 100), rate=0.4)),
        case("in rows and columns", drawn((100, 120)), "each token is chosen by itself", ask=structure),
        case("one row of tokens", drawn((10_000,)), "any shape will do"),
        case("three axes", drawn((10, 20, 50))),
        case("0 is a word", drawn((60, 200), 0.3, [997, 998, 999], mask_id=999)),
        case("the same seed twice", drawn((20, 20)), "rng decides, and nothing else", ask=twice),
    ),
    properties=(
        Property("labels are what was there", labels_are_what_was_there),
        Property("what is not graded is not changed", what_is_not_graded_is_not_changed),
    ),
    misconceptions=(
        always_masked,
        kept_ones_missing,
        replaced_ones_missing,
        ninety_and_ten,
        a_tenth_of_the_rest,
        ten_masked,
        kept_not_graded,
        masked_alone_graded,
        everything_graded,
        labels_turned_round,
        labels_are_the_inputs,
        zero_for_ignored,
        special_ones_chosen,
        padding_alone_spared,
        first_special_alone_spared,
        rate_not_used,
        rate_turned_round,
        same_number_in_each_row,
        same_places_in_each_row,
        rows_chosen_whole,
        one_token_for_all,
        generator_of_its_own,
        another_generator,
        changes_its_input,
    ),
    alternatives=(plain, special_ones_put_in, by_places),
    hints=(
        "Two questions for each token: is it chosen, and if so, what becomes of it? Each needs a random number of its "
        "own. Only the first decides about the label.",
        "chosen: a random number below rate, and not special. Then a second random number: below 0.8 the mask, from "
        "0.9 on another token, in between nothing. np.where builds inputs and labels from these.",
        "labels = np.where(chosen, token_ids, -100)",
    ),
)
