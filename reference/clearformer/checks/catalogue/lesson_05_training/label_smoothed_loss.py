"""label_smoothed_loss: cross-entropy that leaves a little room for other words, over real tokens only."""

import torch
import torch.nn.functional as F

from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception
from clearformer.training.loss import label_smoothed_loss as reference


def loss_and_gradient(answer, call):
    """The loss, and how it changes with each logit."""
    logits = call.args[0]
    loss, gradients = answer.call_with_gradients(call.args, torch.ones((), dtype=logits.dtype), call.kwargs)
    return {"loss": loss, "gradient of logits": gradients[0]}


def more_padding_changes_nothing(answer, rng):
    logits, targets = torch.from_numpy(rng.normal(size=(2, 3, 5))), torch.tensor([[4, 2, 1], [3, 0, 0]])
    wide = torch.cat([logits, torch.from_numpy(rng.normal(size=(2, 4, 5)))], dim=1)
    padded = torch.cat([targets, torch.zeros(2, 4).long()], dim=1)
    gap = abs(float(answer.call(logits, targets)) - float(answer.call(wide, padded)))
    return None if gap < 1e-9 else f"four columns of padding more changed the loss by {gap:.2g}"


def a_constant_changes_nothing(answer, rng):
    logits, targets = torch.from_numpy(rng.normal(size=(2, 3, 5))), torch.tensor([[4, 2, 1], [3, 1, 0]])
    gap = abs(float(answer.call(logits, targets)) - float(answer.call(logits + 50.0, targets)))
    return None if gap < 1e-9 else f"adding 50 to every logit changed the loss by {gap:.2g}"


def every_token_counts_alike(answer, rng):
    logits, targets = torch.from_numpy(rng.normal(size=(2, 4, 5))), torch.tensor([[4, 2, 1, 3], [3, 0, 0, 0]])
    together = float(answer.call(logits, targets))
    one_by_one = zip(logits[targets != 0], targets[targets != 0], strict=True)
    apart = [float(answer.call(logit[None, None], target[None, None])) for logit, target in one_by_one]
    gap = abs(together - sum(apart) / len(apart))
    return None if gap < 1e-9 else f"the loss and the mean over the five tokens' own losses differ by {gap:.2g}"


# Wrong answers: the plain right one, with one part in another form ------------------------------------------------


def log_probs(logits):
    return logits.log_softmax(dim=-1)


def all_classes(log_probs, targets, smoothing):
    """(...): the loss of each token, the mass spread over all V classes."""
    true = log_probs.gather(-1, targets[..., None]).squeeze(-1)
    return -(1 - smoothing) * true - smoothing * log_probs.mean(dim=-1)


def mean_over_real(losses, real):
    return losses[real].sum() / real.sum()


def variant(
    *, log_probs=log_probs, losses=all_classes, mean=mean_over_real, real=lambda targets, pad_id: targets != pad_id
):
    def label_smoothed_loss(logits, targets, smoothing=0.1, pad_id=0):
        return mean(losses(log_probs(logits), targets, smoothing), real(targets, pad_id))

    return label_smoothed_loss


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def no_smoothing(log_probs, targets, smoothing):
    return all_classes(log_probs, targets, 0.0)


def share_swapped(log_probs, targets, smoothing):
    return all_classes(log_probs, targets, 1 - smoothing)


def other_classes(log_probs, targets, smoothing):
    true = log_probs.gather(-1, targets[..., None]).squeeze(-1)
    others = (log_probs.sum(dim=-1) - true) / (log_probs.shape[-1] - 1)
    return -(1 - smoothing) * true - smoothing * others


def over_v_minus_1(log_probs, targets, smoothing):
    true = log_probs.gather(-1, targets[..., None]).squeeze(-1)
    return -(1 - smoothing) * true - smoothing * log_probs.sum(dim=-1) / (log_probs.shape[-1] - 1)


def summed_over_classes(log_probs, targets, smoothing):
    true = log_probs.gather(-1, targets[..., None]).squeeze(-1)
    return -(1 - smoothing) * true - smoothing * log_probs.sum(dim=-1)


def true_class_whole(log_probs, targets, smoothing):
    true = log_probs.gather(-1, targets[..., None]).squeeze(-1)
    return -true - smoothing * log_probs.mean(dim=-1)


def smoothed_part_lost(log_probs, targets, smoothing):
    return -(1 - smoothing) * log_probs.gather(-1, targets[..., None]).squeeze(-1)


def divergence(log_probs, targets, smoothing):
    labels = F.one_hot(targets, log_probs.shape[-1]) * (1 - smoothing) + smoothing / log_probs.shape[-1]
    return F.kl_div(log_probs, labels.to(log_probs.dtype), reduction="none").sum(dim=-1)


def negative(log_probs, targets, smoothing):
    return -all_classes(log_probs, targets, smoothing)


spread_over_the_others = wrong(
    "spread-over-the-others",
    "You spread the smoothing over the V − 1 other words. That is a sensible choice too. This exercise asks for all V "
    "words, the right one included, as torch and the paper's idea of label smoothing have it.",
    losses=other_classes,
)
divided_by_v_minus_1 = wrong(
    "divided-by-v-minus-1",
    "You add up all V words and divide by V − 1. All V share the smoothing: smoothing / V each.",
    losses=over_v_minus_1,
)
smoothing_not_divided = wrong(
    "smoothing-not-divided",
    "Each word gets the whole smoothing. They share it: smoothing / V each, which makes it a mean over the words.",
    losses=summed_over_classes,
)
no_smoothing_at_all = wrong(
    "no-smoothing",
    "This is plain cross-entropy: smoothing makes no difference. The label is 1 − smoothing on the right word plus "
    "smoothing / V on each word.",
    losses=no_smoothing,
)
smoothing_is_the_share_kept = wrong(
    "smoothing-is-the-share-kept",
    "You give the right word the share `smoothing` and spread the rest. With smoothing=0.1 the right word keeps 0.9.",
    losses=share_swapped,
)
right_word_keeps_everything = wrong(
    "right-word-keeps-everything",
    "You add the smoothing on top: your label sums to 1 + smoothing. The right word gives it up first: 1 − smoothing.",
    losses=true_class_whole,
)
only_the_right_word = wrong(
    "only-the-right-word",
    "You take smoothing away from the right word and give it to nobody. It goes to all V words, smoothing / V each.",
    losses=smoothed_part_lost,
)
kl_divergence = wrong(
    "kl-divergence",
    "Your gradients are right, and the loss is too small by a constant, the entropy of the smoothed label. That is the "
    "KL divergence. This exercise asks for the cross-entropy.",
    losses=divergence,
)
sign_forgotten = wrong(
    "sign-forgotten",
    "Your loss is negative. Logarithms of probabilities are at most 0; the loss is their negative.",
    losses=negative,
)
averaged_over_padding = wrong(
    "averaged-over-padding",
    "Padding adds nothing to your sum, and you still divide by its number: a batch with much padding seems easy. "
    "Divide by the number of real tokens.",
    mean=lambda losses, real: losses.masked_fill(~real, 0.0).mean(),
)
padding_counted = wrong(
    "padding-counted",
    "Your loss counts padding as words to be predicted. Leave out the positions whose target is pad_id.",
    mean=lambda losses, real: losses.mean(),
)
summed = wrong(
    "summed",
    "You return the sum over the tokens. This exercise asks for the mean over the real ones.",
    mean=lambda losses, real: losses[real].sum(),
)
zeros_left_out = wrong(
    "zeros-left-out",
    "You divide by the number of losses above 0. A real word that the model is certain of may lose 0 too, and it "
    "counts: divide by the number of targets that are not pad_id.",
    mean=lambda losses, real: losses.masked_fill(~real, 0.0).sum() / (losses.masked_fill(~real, 0.0) > 0).sum(),
)
averaged_by_sentence = wrong(
    "averaged-by-sentence",
    "You average in each sentence and then over the sentences. A token of a short sentence counts for more that way. "
    "Take one mean over all real tokens.",
    mean=lambda losses, real: (losses.masked_fill(~real, 0.0).sum(-1) / real.sum(-1)).mean(),
)
divided_by_the_sentences = wrong(
    "divided-by-the-sentences",
    "You divide the sum by the number of sentences. Divide by the number of real tokens.",
    mean=lambda losses, real: losses[real].sum() / len(losses),
)
one_loss_a_token = wrong(
    "one-loss-a-token",
    "You return one loss for each token. This exercise asks for one number, their mean over the real tokens.",
    mean=lambda losses, real: losses.masked_fill(~real, 0.0),
)
pad_id_taken_for_zero = wrong(
    "pad-id-taken-for-zero",
    "You leave out the targets that are 0, whatever pad_id is. Here padding has another number, and 0 is a real word.",
    real=lambda targets, pad_id: targets != 0,
)
larger_than_the_padding = wrong(
    "larger-than-the-padding",
    "You count a target as real when its number is larger than pad_id. Real words may have smaller numbers: test for "
    "being different.",
    real=lambda targets, pad_id: targets > pad_id,
)
padding_alone = wrong(
    "padding-alone",
    "You average over the padding and leave out the words: the mask is turned round.",
    real=lambda targets, pad_id: targets == pad_id,
)
log_of_the_softmax = wrong(
    "log-of-the-softmax",
    "For large logits a probability becomes 0, and its logarithm minus infinity. Take both steps at once: log_softmax.",
    log_probs=lambda logits: logits.softmax(dim=-1).log(),
)
small_number_in_the_logarithm = wrong(
    "small-number-in-the-logarithm",
    "You add a small number before the logarithm. It changes every loss a little, and that of an unlikely word a lot: "
    "the loss can no longer grow past about 20. Use log_softmax, which needs no such number.",
    log_probs=lambda logits: (logits.softmax(dim=-1) + 1e-9).log(),
)
softmax_forgotten = wrong(
    "softmax-forgotten",
    "You take the logits for log-probabilities. They have to be normalised first: log_softmax over the last axis.",
    log_probs=lambda logits: logits,
)
logarithm_forgotten = wrong(
    "logarithm-forgotten",
    "You take probabilities where their logarithms are wanted: log_softmax, not softmax.",
    log_probs=lambda logits: logits.softmax(dim=-1),
)
normalised_over_the_tokens = wrong(
    "normalised-over-the-tokens",
    "Your softmax runs over the tokens of a sentence: dim=1. The V words are the last axis, dim=-1.",
    log_probs=lambda logits: logits.log_softmax(dim=-2),
)
gradient_cut_off = wrong(
    "gradient-cut-off",
    "The loss is right, but no gradient flows to the logits: something was cut off (detach, .item(), no_grad or a "
    "detour by NumPy). A model would never learn from it.",
    log_probs=lambda logits: log_probs(logits.detach()),
)


@misconception(
    "padding-column-left-out",
    "You spread the smoothing over all words but the padding, V − 1 of them or less, as some tutorials do. That is a "
    "sensible choice too. This exercise asks for all V ids, as F.cross_entropy has it.",
)
def padding_column_left_out(logits, targets, smoothing=0.1, pad_id=0):
    logs = log_probs(logits)
    labels = torch.full_like(logs, smoothing / (logs.shape[-1] - 2))
    labels.scatter_(-1, targets[..., None], 1 - smoothing)
    labels[..., pad_id] = 0.0
    return mean_over_real(-(labels * logs).sum(dim=-1), targets != pad_id)


@misconception(
    "changes-its-input",
    "The loss is right, but you changed the targets themselves. Whoever called you still needs them: work on a copy.",
)
def changes_its_input(logits, targets, smoothing=0.1, pad_id=0):
    loss = variant()(logits, targets, smoothing, pad_id)
    targets[targets == pad_id] = -100
    return loss


plain = variant()


def with_labels_written_out(logits, targets, smoothing=0.1, pad_id=0):
    """Another right answer: the smoothed labels as a tensor (..., V)."""
    vocab = logits.shape[-1]
    labels = (1 - smoothing) * F.one_hot(targets, vocab) + smoothing / vocab
    real = (targets != pad_id).to(logits.dtype)
    per_token = -torch.einsum("...v,...v->...", labels.to(logits.dtype), torch.log_softmax(logits, -1))
    return (per_token * real).sum() / real.sum()


def by_logsumexp(logits, targets, smoothing=0.1, pad_id=0):
    """Another right answer: real tokens picked first, log Z minus the mean logit under the label."""
    real = targets.ne(pad_id)
    logits, targets = logits[real], targets[real]
    top = logits.amax(dim=-1, keepdim=True).detach()
    log_total = (logits - top).exp().sum(-1).log() + top[:, 0]
    true = logits[torch.arange(len(targets)), targets]
    return (log_total - (1 - smoothing) * true - smoothing * logits.mean(-1)).mean()


def drawn(*rows, vocab, pad_id=None, size=1.0, dtype=torch.float64, **kwargs):
    """A case's draw: these targets, and any logits."""

    def draw(rng):
        targets = torch.tensor(rows)
        logits = torch.from_numpy(size * rng.normal(size=(*targets.shape, vocab))).to(dtype)
        return Call(logits, targets, **kwargs, **({} if pad_id is None else {"pad_id": pad_id}))

    return draw


def an_unlikely_word(rng):
    """The right word is far behind the others, by more than a float64's exponential can hold."""
    logits = torch.from_numpy(rng.normal(size=(1, 2, 4)))
    logits[0, 0, 1] += 2000.0
    logits[0, 1, 2] -= 60.0
    return Call(logits, torch.tensor([[3, 2]]))


def a_certain_word(rng):
    logits = torch.from_numpy(rng.normal(size=(1, 3, 4)))
    logits[0, 1, 2] += 2000.0
    return Call(logits, torch.tensor([[3, 2, 0]]), smoothing=0.0)


def not_contiguous(rng):
    logits = torch.from_numpy(rng.normal(size=(2, 5, 3))).transpose(1, 2)  # (batch, T, V)
    return Call(logits, torch.tensor([[4, 2], [1, 3], [2, 0]]).T)


def case(name, draw, because="", **how):
    """Labels may be float32, which is what whole numbers times 0.9 are in torch, also where the logits are float64."""
    return Case(name, draw, because, close=2e-6, **how)


EXERCISE = Exercise(
    name="label_smoothed_loss",
    lesson="05_training",
    kind="write",
    points=3,
    difficulty=3,
    minutes=20,
    asks="Return the cross-entropy with smoothed labels, averaged over the tokens that are no padding.",
    reference=reference,
    returns=("loss",),
    cases=(
        case("one token", drawn([2], vocab=3), ask=loss_and_gradient),
        case(
            "without smoothing", drawn([2, 1, 3], vocab=4, smoothing=0.0), "plain cross-entropy", ask=loss_and_gradient
        ),
        case("three tokens", drawn([2, 1, 4], vocab=5), ask=loss_and_gradient),
        case("equal logits", drawn([2, 1, 4], vocab=5, size=0.0), "an untrained model", ask=loss_and_gradient),
        case("another smoothing", drawn([2, 1, 4], vocab=5, smoothing=0.4), ask=loss_and_gradient),
        case(
            "padding",
            drawn([2, 1, 4, 3], [3, 0, 0, 0], vocab=5),
            "the mean is over the five real tokens",
            ask=loss_and_gradient,
        ),
        case(
            "another number for padding",
            drawn([2, 0, 4, 1], [0, 3, 1, 1], vocab=5, pad_id=1),
            "here 0 is a real word",
            ask=loss_and_gradient,
        ),
        case("as many words as tokens", drawn([2, 1, 3, 3], [3, 2, 0, 0], vocab=4), ask=loss_and_gradient),
        case("an unlikely word", an_unlikely_word, "its probability is too small for a float64", ask=loss_and_gradient),
        case("a certain word", a_certain_word, "its loss is 0, and it counts", ask=loss_and_gradient),
        case("tokens of a whole batch in one row", drawn(2, 1, 0, 4, 0, vocab=5), "logits are (n, V)"),
        Case("single precision", drawn([2, 1, 4, 3], [3, 0, 0, 0], vocab=5, dtype=torch.float32)),
        case("a transposed view", not_contiguous, "not contiguous in memory"),
    ),
    properties=(
        Property("more padding changes nothing", more_padding_changes_nothing),
        Property("adding a constant to all logits changes nothing", a_constant_changes_nothing),
        Property("every real token counts alike", every_token_counts_alike),
    ),
    misconceptions=(
        spread_over_the_others,
        divided_by_v_minus_1,
        smoothing_not_divided,
        no_smoothing_at_all,
        smoothing_is_the_share_kept,
        right_word_keeps_everything,
        only_the_right_word,
        kl_divergence,
        sign_forgotten,
        averaged_over_padding,
        padding_counted,
        summed,
        zeros_left_out,
        averaged_by_sentence,
        divided_by_the_sentences,
        pad_id_taken_for_zero,
        larger_than_the_padding,
        padding_alone,
        log_of_the_softmax,
        small_number_in_the_logarithm,
        softmax_forgotten,
        logarithm_forgotten,
        normalised_over_the_tokens,
        gradient_cut_off,
        padding_column_left_out,
        changes_its_input,
        one_loss_a_token,
    ),
    alternatives=(plain, with_labels_written_out, by_logsumexp),
    hints=(
        "Write down the label of one token as a list of V shares that sum to 1. The loss of a token is minus the sum "
        "of share times log-probability.",
        "Take log_softmax over the last axis. A token's loss is (1 − smoothing) times minus the log-probability of its "
        "word, plus smoothing times minus the mean log-probability of all words. Then average where targets != pad_id.",
        "loss = -(1 - smoothing) * log_probs.gather(-1, targets[..., None])[..., 0] - smoothing * log_probs.mean(-1)",
    ),
    forbidden=("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss"),
)
