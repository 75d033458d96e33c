"""causal_lm_loss: each place is graded on the token that comes next."""

import torch
import torch.nn.functional as F

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.training.next_token import causal_lm_loss as reference


def loss_and_gradient(answer, call):
    """The loss, and how it changes with each logit."""
    logits = call.args[0]
    loss, gradients = answer.call_with_gradients(call.args, torch.ones((), dtype=logits.dtype), call.kwargs)
    return {"loss": loss, "gradient of logits": gradients[0]}


def two_texts(rng):
    return torch.from_numpy(rng.normal(size=(2, 5, 6))), torch.tensor([[4, 2, 1, 5, 3], [3, 2, 5, 0, 0]])


def the_last_logits_are_not_graded(answer, rng):
    logits, token_ids = two_texts(rng)
    other = logits.clone()
    other[:, -1] += torch.from_numpy(rng.normal(size=6))
    gap = abs(float(answer.call(logits, token_ids)) - float(answer.call(other, token_ids)))
    return (
        None if gap < 1e-9 else f"other logits at the last place, behind which nothing comes, changed it by {gap:.2g}"
    )


def the_first_token_is_not_predicted(answer, rng):
    logits, token_ids = two_texts(rng)
    other = token_ids.clone()
    other[:, 0] = 1
    gap = abs(float(answer.call(logits, token_ids)) - float(answer.call(logits, other)))
    return None if gap < 1e-9 else f"another first token, which nothing predicts, changed the loss by {gap:.2g}"


def more_padding_changes_nothing(answer, rng):
    logits, token_ids = two_texts(rng)
    wide = torch.cat([logits, torch.from_numpy(rng.normal(size=(2, 3, 6)))], dim=1)
    padded = torch.cat([token_ids, torch.zeros(2, 3).long()], dim=1)
    gap = abs(float(answer.call(logits, token_ids)) - float(answer.call(wide, padded)))
    return None if gap < 1e-9 else f"three columns of padding more changed the loss by {gap:.2g}"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def shifted(logits, token_ids):
    return logits[:, :-1], token_ids[:, 1:]


def mean_over_real(losses, real):
    return losses[real].mean()


def cross_entropy(logits, wanted):
    return -logits.log_softmax(-1).gather(-1, wanted[..., None]).squeeze(-1)


def not_padding(wanted, pad_id):
    return wanted != pad_id


def variant(shift=shifted, mean=mean_over_real, losses=cross_entropy, real=not_padding):
    def causal_lm_loss(logits, token_ids, pad_id=0):
        given, wanted = shift(logits, token_ids)
        return mean(losses(given, wanted), real(wanted, pad_id))

    return causal_lm_loss


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def rolled(logits, token_ids):
    return logits, token_ids.roll(-1, dims=1)


not_shifted = wrong(
    "not-shifted",
    "You grade each place on the token that stands there. The model has just read that token, so it learns to copy it, "
    "and its loss goes to 0. The logits at place t are for the token at t + 1.",
    shift=lambda logits, token_ids: (logits, token_ids),
)
shifted_the_other_way = wrong(
    "shifted-the-other-way",
    "You grade each place on the token before it, which the model has read. The logits at place t are for the token at "
    "t + 1: logits[:, :-1] and token_ids[:, 1:].",
    shift=lambda logits, token_ids: (logits[:, 1:], token_ids[:, :-1]),
)
cut_at_the_same_end = wrong(
    "cut-at-the-same-end",
    "You cut one place off both, at the end. So each place is still graded on its own token. Cut the last logits and "
    "the first token.",
    shift=lambda logits, token_ids: (logits[:, :-1], token_ids[:, :-1]),
)
cut_at_the_start = wrong(
    "cut-at-the-start",
    "You cut one place off both, at the start. So each place is still graded on its own token. Cut the last logits and "
    "the first token.",
    shift=lambda logits, token_ids: (logits[:, 1:], token_ids[:, 1:]),
)
shifted_by_two = wrong(
    "shifted-by-two",
    "You grade each place on the token after the next one. The logits at place t are for the token at t + 1.",
    shift=lambda logits, token_ids: (logits[:, :-2], token_ids[:, 2:]),
)
tokens_rolled = wrong(
    "rolled",
    "You shifted with roll, which puts the first token behind the last: the last place is graded on it. Cut instead: "
    "logits[:, :-1] and token_ids[:, 1:].",
    shift=rolled,
)
shifted_over_the_batch = wrong(
    "shifted-over-the-texts",
    "You shifted over the first axis: each text is graded on the next text. The places are the second axis.",
    shift=lambda logits, token_ids: (logits[:-1], token_ids[1:]),
)
padding_counted = wrong(
    "padding-counted",
    "Your loss counts padding as tokens to be predicted. Leave out the places whose next token is pad_id.",
    mean=lambda losses, real: losses.mean(),
)
averaged_over_padding = wrong(
    "averaged-over-padding",
    "Padding adds nothing to your sum, and you still divide by its number. Divide by the number of real next tokens.",
    mean=lambda losses, real: losses.masked_fill(~real, 0.0).mean(),
)
averaged_by_text = wrong(
    "averaged-by-text",
    "You average in each text and then over the texts. A token of a short text counts for more that way. Take one mean "
    "over all real next tokens of the batch.",
    mean=lambda losses, real: (losses.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)).mean(),
)
summed = wrong(
    "summed",
    "You return the sum. This exercise asks for the mean over the real next tokens.",
    mean=lambda losses, real: losses[real].sum(),
)
one_loss_a_token = wrong(
    "one-loss-a-token",
    "You return one loss for each token. This exercise asks for one number, their mean over the real ones.",
    mean=lambda losses, real: losses.masked_fill(~real, 0.0),
)
zero_for_padding = wrong(
    "zero-for-padding",
    "You leave out the id 0, whatever pad_id is. Here padding has another id, and 0 is a real token.",
    real=lambda wanted, pad_id: wanted != 0,
)
padding_alone = wrong(
    "padding-alone",
    "You average over the padding and leave out the tokens: the mask is turned round.",
    real=lambda wanted, pad_id: wanted == pad_id,
)
sign_forgotten = wrong(
    "sign-forgotten",
    "Your loss is negative. Logarithms of probabilities are at most 0; the loss is their negative.",
    losses=lambda logits, wanted: -cross_entropy(logits, wanted),
)
logarithm_forgotten = wrong(
    "softmax-twice",
    "You gave probabilities to a function that takes logits, F.cross_entropy perhaps, so the softmax came twice. Give "
    "it the logits.",
    losses=lambda logits, wanted: cross_entropy(logits.softmax(-1), wanted),
)
log_of_the_softmax = wrong(
    "log-of-the-softmax",
    "For large logits a probability becomes 0, and its logarithm minus infinity. Take both steps at once: log_softmax, "
    "or F.cross_entropy.",
    losses=lambda logits, wanted: -logits.softmax(-1).gather(-1, wanted[..., None]).squeeze(-1).log(),
)
gradient_cut_off = wrong(
    "gradient-cut-off",
    "The loss is right, but no gradient flows to the logits: something was cut off (detach, .item(), no_grad or a "
    "detour by NumPy). A model would never learn from it.",
    losses=lambda logits, wanted: cross_entropy(logits.detach(), wanted),
)


@misconception(
    "read-padding-left-out",
    "You leave out the places where the token that was *read* is padding. What counts is the next token: behind the "
    "last real one comes padding, and that is nothing to be predicted.",
)
def read_padding_left_out(logits, token_ids, pad_id=0):
    losses = cross_entropy(*shifted(logits, token_ids))
    return losses[token_ids[:, :-1] != pad_id].mean()


@misconception(
    "divided-by-all-real-tokens",
    "You divide by the number of all real tokens. The first of each text is never predicted: divide by the number of "
    "real next tokens.",
)
def divided_by_all_real_tokens(logits, token_ids, pad_id=0):
    given, wanted = shifted(logits, token_ids)
    return cross_entropy(given, wanted)[wanted != pad_id].sum() / (token_ids != pad_id).sum()


@misconception(
    "changes-its-input",
    "The loss is right, but you changed token_ids themselves. Whoever called you still needs them: work on a copy.",
)
def changes_its_input(logits, token_ids, pad_id=0):
    loss = plain(logits, token_ids, pad_id)
    token_ids[token_ids == pad_id] = -100
    return loss


plain = variant()


def by_cross_entropy(logits, token_ids, pad_id=0):
    """Another right answer: torch's own loss."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), token_ids[:, 1:].flatten(), ignore_index=pad_id)


def text_by_text(logits, token_ids, pad_id=0):
    """Another right answer: summed place after place, divided at the end."""
    total, count = 0.0, 0
    for row, ids in zip(logits, token_ids, strict=True):
        for place in range(len(ids) - 1):
            if ids[place + 1] != pad_id:
                total = total + row[place].logsumexp(-1) - row[place, ids[place + 1]]
                count += 1
    return total / count


def with_padding_behind(logits, token_ids, pad_id=0):
    """Another right answer: as many targets as logits, the last ones padding."""
    nothing = torch.full_like(token_ids[:, :1], pad_id)
    wanted = torch.cat([token_ids[:, 1:], nothing], dim=1)
    return F.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=pad_id)


def drawn(*rows, vocab, pad_id=None, size=1.0, dtype=torch.float64):
    """A case's draw: these tokens, and any logits."""

    def draw(rng):
        token_ids = torch.tensor(rows)
        logits = torch.from_numpy(size * rng.normal(size=(*token_ids.shape, vocab))).to(dtype)
        return Call(logits, token_ids, **({} if pad_id is None else {"pad_id": pad_id}))

    return draw


def an_unlikely_token(rng):
    """The next token is far behind the others, by more than a float64's exponential can hold."""
    logits = torch.from_numpy(rng.normal(size=(1, 3, 4)))
    logits[0, 0, 1] += 2000.0
    return Call(logits, torch.tensor([[1, 3, 2]]))


def repeats_what_it_reads(rng):
    token_ids = torch.tensor([[4, 2, 1, 3], [1, 5, 0, 0]])
    return Call(20.0 * F.one_hot(token_ids, 6).double(), token_ids)


def not_contiguous(rng):
    logits = torch.from_numpy(rng.normal(size=(3, 5, 6))).transpose(0, 1)  # (batch, T, V)
    return Call(logits, torch.tensor([[4, 2, 5], [1, 3, 1], [2, 5, 0], [3, 3, 4], [1, 0, 0]]))


def case(name, draw, because="", **how):
    return Case(name, draw, because, ask=loss_and_gradient, **how)


EXERCISE = Exercise(
    name="causal_lm_loss",
    lesson="11_model_families",
    kind="write",
    points=2,
    difficulty=2,
    minutes=12,
    asks="Return the mean cross-entropy of the next token, over all next tokens that are no padding.",
    reference=reference,
    returns=("loss",),
    cases=(
        case("two tokens", drawn([1, 2], vocab=4), "one place, one next token"),
        case("four tokens", drawn([4, 2, 3, 1], vocab=6)),
        case("two texts of one length", drawn([4, 2, 3, 1], [1, 1, 5, 2], vocab=6)),
        case("padding", drawn([4, 2, 3, 1, 5], [1, 5, 0, 0, 0], vocab=6), "five next tokens are real"),
        case(
            "another id for padding",
            drawn([4, 0, 3, 0, 2], [3, 0, 2, 5, 5], vocab=6, pad_id=5),
            "here 0 is a real token",
        ),
        case("a model that repeats what it reads", repeats_what_it_reads, "it knows nothing of what comes next"),
        case("as many texts as places", drawn([3, 2, 1, 4], [1, 2, 3, 0], [2, 2, 4, 1], [4, 1, 0, 0], vocab=5)),
        case("as many ids as places", drawn([3, 2, 1, 4, 2], [1, 2, 3, 0, 0], vocab=5)),
        case("an unlikely token", an_unlikely_token, "its probability is too small for a float64"),
        case("not contiguous", not_contiguous, "logits and tokens as transposes leave them"),
        case("float32", drawn([4, 2, 3, 1], [1, 5, 0, 0], vocab=6, dtype=torch.float32)),
    ),
    properties=(
        Property("the last logits are not graded", the_last_logits_are_not_graded),
        Property("the first token is not predicted", the_first_token_is_not_predicted),
        Property("more padding changes nothing", more_padding_changes_nothing),
    ),
    misconceptions=(
        not_shifted,
        shifted_the_other_way,
        cut_at_the_same_end,
        cut_at_the_start,
        shifted_by_two,
        tokens_rolled,
        shifted_over_the_batch,
        padding_counted,
        averaged_over_padding,
        averaged_by_text,
        summed,
        one_loss_a_token,
        zero_for_padding,
        padding_alone,
        sign_forgotten,
        logarithm_forgotten,
        log_of_the_softmax,
        gradient_cut_off,
        read_padding_left_out,
        divided_by_all_real_tokens,
        changes_its_input,
    ),
    alternatives=(plain, by_cross_entropy, text_by_text, with_padding_behind),
    hints=(
        "Write the tokens of a text side by side, and under each the token that the model is to say after reading it. "
        "Which token is never said, and behind which is nothing to say?",
        "Cut the last place off the logits and the first token off the ids: then they stand in line. The rest is the "
        "cross-entropy of lesson 05 without smoothing, with the padding left out.",
        "wanted = token_ids[:, 1:]",
    ),
)
