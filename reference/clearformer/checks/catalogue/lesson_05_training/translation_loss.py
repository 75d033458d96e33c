"""translation_loss: find the three mistakes that make a loss look good."""

import torch
import torch.nn.functional as F

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.checks.given import Callback

VOCAB = 7


def translation_loss(model, source_ids, target_ids, source_pad_id, target_pad_id):
    """The mended code."""
    logits = model(source_ids, target_ids[:, :-1])  # (batch, T - 1, V)
    wanted = target_ids[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=target_pad_id)


# A model that needs no training: each logit follows from the tokens up to its place ---------------------------------


def model_of(rng):
    """A Callback: (source_ids (batch, S), decoder_ids (batch, T)) -> logits (batch, T, V)."""
    source_table, target_table = (torch.from_numpy(rng.normal(size=(VOCAB, VOCAB))) for _ in range(2))

    def model(source_ids, decoder_ids):
        heard = source_table[source_ids].mean(dim=1, keepdim=True)  # (batch, 1, V)
        return target_table[decoder_ids].cumsum(dim=1) + heard

    return Callback(model, "model", limit=20)


def a_model_that_repeats_its_input(rng):
    """It says with certainty the very token it was given: whoever gives it the answer gets a loss of almost 0."""

    def model(source_ids, decoder_ids):
        return 20.0 * F.one_hot(decoder_ids, VOCAB).double()

    return Callback(model, "model", limit=20)


def more_padding_changes_nothing(answer, rng):
    call = drawn([1, 4, 5, 2], [1, 6, 2, 0])(rng)
    model, source_ids, target_ids, *pad_ids = call.args
    padded = torch.cat([target_ids, torch.zeros(2, 3).long()], dim=1)
    short, long = (float(answer.call(model, source_ids, each, *pad_ids)) for each in (target_ids, padded))
    gap = abs(short - long)
    return None if gap < 1e-9 else f"three columns of padding more in the target changed the loss by {gap:.2g}"


def the_answer_is_not_shown(answer, rng):
    """The last real token is only predicted, never read: a model that repeats its input must not know it."""
    _, source_ids, target_ids, *pad_ids = drawn([1, 4, 5, 6, 3, 2])(rng).args
    loss = float(answer.call(a_model_that_repeats_its_input(rng), source_ids, target_ids, *pad_ids))
    return (
        None
        if loss > 1.0
        else f"a model that repeats what it is given has a loss of {loss:.2g}: it was given the answer"
    )


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def shifted(ids):
    return ids[:, :-1], ids[:, 1:]


def not_shifted(ids):
    return ids, ids


def mean_over_real(losses, real):
    return losses[real].mean()


def mean_over_all(losses, real):
    return losses.masked_fill(~real, 0.0).mean()


def of_the_target(source_pad_id, target_pad_id):
    return target_pad_id


def of_the_source(source_pad_id, target_pad_id):
    return source_pad_id


def variant(shift=shifted, mean=mean_over_real, ignored=of_the_target):
    """The code with some of its lines in another form."""

    def translation_loss(model, source_ids, target_ids, source_pad_id, target_pad_id):
        given, wanted = shift(target_ids)
        logits = model(source_ids, given)
        losses = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        return mean(losses, wanted.flatten() != ignored(source_pad_id, target_pad_id))

    return translation_loss


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


as_found = wrong(
    "as-found",
    "This returns what the code returned before. Run the experiments above the exercise again: what does the model "
    "read when it predicts a token, which id counts as padding, and what is the sum divided by?",
    shift=not_shifted,
    mean=mean_over_all,
    ignored=of_the_source,
)
shift_left = wrong(
    "shift-left",
    "Padding is right now, and one mistake is left. The model reads target_ids and is to predict target_ids: at each "
    "place it sees the very token it should say. It reads target_ids[:, :-1] and predicts target_ids[:, 1:].",
    shift=not_shifted,
)
pad_id_left = wrong(
    "pad-id-left",
    "One mistake is left: the loss leaves out the source's padding id. The targets are in the other language, and "
    "their padding is target_pad_id.",
    ignored=of_the_source,
)
mean_left = wrong(
    "mean-left",
    "One mistake is left: padding adds nothing to the sum, but you still divide by all positions. Divide by the number "
    "of real tokens.",
    mean=mean_over_all,
)
shift_and_pad_id_left = wrong(
    "shift-and-pad-id-left",
    "The mean is right now, and two mistakes are left: what the model reads, and which id counts as padding.",
    shift=not_shifted,
    ignored=of_the_source,
)
shift_and_mean_left = wrong(
    "shift-and-mean-left",
    "The padding id is right now, and two mistakes are left: what the model reads, and what the sum is divided by.",
    shift=not_shifted,
    mean=mean_over_all,
)
pad_id_and_mean_left = wrong(
    "pad-id-and-mean-left",
    "The shift is right now, and two mistakes are left, both about padding: which id it has, and what the sum is "
    "divided by.",
    mean=mean_over_all,
    ignored=of_the_source,
)
shifted_the_other_way = wrong(
    "shifted-the-other-way",
    "You shifted the other way round: the model reads the later token and predicts the earlier one. It reads all but "
    "the last token, target_ids[:, :-1], and predicts all but the first.",
    shift=lambda ids: (ids[:, 1:], ids[:, :-1]),
)
start_predicted = wrong(
    "cut-and-not-shifted",
    "You cut one token off what the model reads and off what it should say, at the same end. So it still reads what it "
    "predicts. What is predicted begins one token later: target_ids[:, 1:].",
    shift=lambda ids: (ids[:, :-1], ids[:, :-1]),
)
padding_counted = wrong(
    "padding-counted",
    "The shift is right. Your loss now counts padding as words to be predicted: leave out where the wanted token is "
    "target_pad_id.",
    mean=lambda losses, real: losses.mean(),
)
summed = wrong(
    "summed",
    "The shift and the padding id are right. You return a sum; what was asked for is the mean over real tokens.",
    mean=lambda losses, real: losses[real].sum(),
)


@misconception(
    "labels-rolled",
    "You shifted with roll, which puts the first token at the end: the last place is to predict the start token. Cut "
    "instead: the model reads target_ids[:, :-1] and predicts target_ids[:, 1:].",
)
def labels_rolled(model, source_ids, target_ids, source_pad_id, target_pad_id):
    logits = model(source_ids, target_ids)
    wanted = target_ids.roll(-1, dims=1)
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=target_pad_id)


@misconception(
    "both-pad-ids-left-out",
    "You leave out both padding ids. In the target the source's padding id is a word like any other.",
)
def both_pad_ids_left_out(model, source_ids, target_ids, source_pad_id, target_pad_id):
    logits, wanted = model(source_ids, target_ids[:, :-1]), target_ids[:, 1:]
    real = (wanted != target_pad_id) & (wanted != source_pad_id)
    return F.cross_entropy(logits[real], wanted[real])


@misconception(
    "inputs-left-out-where-they-are-padding",
    "You leave out places where the token that is read is padding. What counts is the token that is to be predicted: "
    "the last word's place predicts padding, and that is no word.",
)
def left_out_by_input(model, source_ids, target_ids, source_pad_id, target_pad_id):
    given, wanted = shifted(target_ids)
    real = given != target_pad_id
    return F.cross_entropy(model(source_ids, given)[real], wanted[real])


def by_log_softmax(model, source_ids, target_ids, source_pad_id, target_pad_id):
    """Another right answer: written out."""
    logits, wanted = model(source_ids, target_ids[:, :-1]), target_ids[:, 1:]
    losses = -logits.log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    real = (wanted != target_pad_id).to(losses.dtype)
    return (losses * real).sum() / real.sum()


def sentence_by_sentence(model, source_ids, target_ids, source_pad_id, target_pad_id):
    """Another right answer: one sentence after the other, each cut to its own length."""
    total, count = 0.0, 0
    for source, target in zip(source_ids, target_ids, strict=True):
        target = target[target != target_pad_id][None]
        logits = model(source[None], target[:, :-1])
        total = total + F.cross_entropy(logits[0], target[0, 1:], reduction="sum")
        count += target.shape[1] - 1
    return total / count


def drawn(*rows, source_pad_id=3, target_pad_id=0, model=model_of):
    """A case's draw: these targets, a source of any tokens, a model of any numbers."""

    def draw(rng):
        source_ids = torch.from_numpy(rng.integers(0, VOCAB, size=(len(rows), 3)))
        return Call(model(rng), source_ids, torch.tensor(rows), source_pad_id, target_pad_id)

    return draw


EXERCISE = Exercise(
    name="translation_loss",
    lesson="05_training",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend the three mistakes in the loss of a translation.",
    reference=translation_loss,
    returns=("loss",),
    cases=(
        Case("one word between start and end", drawn([1, 5, 2])),
        Case("three words", drawn([1, 5, 6, 4, 2])),
        Case("a model that repeats what it reads", drawn([1, 5, 6, 4, 2], model=a_model_that_repeats_its_input)),
        Case("two sentences of different lengths", drawn([1, 5, 6, 4, 2], [1, 4, 2, 0, 0]), "0 is padding"),
        Case(
            "the source's padding id is a word of the target",
            drawn([1, 3, 6, 3, 2], [1, 3, 2, 0, 0]),
            "3 is padding in the source alone",
        ),
        Case(
            "other ids for padding",
            drawn([1, 0, 4, 2, 6], [1, 2, 6, 6, 6], source_pad_id=0, target_pad_id=6),
            "0 is padding in the source alone, 6 in the target alone",
        ),
        Case("the same id for both", drawn([1, 4, 3, 2, 0], [1, 2, 0, 0, 0], source_pad_id=0)),
    ),
    properties=(
        Property("more padding in the target changes nothing", more_padding_changes_nothing),
        Property("the model is not given the answer", the_answer_is_not_shown),
    ),
    misconceptions=(
        as_found,
        shift_left,
        pad_id_left,
        mean_left,
        shift_and_pad_id_left,
        shift_and_mean_left,
        pad_id_and_mean_left,
        shifted_the_other_way,
        start_predicted,
        padding_counted,
        summed,
        labels_rolled,
        both_pad_ids_left_out,
        left_out_by_input,
    ),
    alternatives=(by_log_softmax, sentence_by_sentence),
    hints=(
        "Take one sentence, start a b end. Write under each token that the model reads the token that it should say. "
        "Then do the same for a sentence with padding, and ask which places count.",
        "The model reads all tokens but the last and predicts all but the first. Places whose wanted token is the "
        "target's padding are left out, and the mean runs over the others.",
        "wanted = target_ids[:, 1:]",
    ),
)
