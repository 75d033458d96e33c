"""The objective of GPT: at each place, the token that comes next (Radford et al. 2018, eq. 1)."""

from clearformer.training.loss import label_smoothed_loss


def causal_lm_loss(logits, token_ids, pad_id=0):
    """Mean cross-entropy of the next token, over all next tokens of the batch that are no padding.

    logits (batch, T, V), floating: those at place t may have seen token_ids[:, : t + 1], and are graded on
    token_ids[:, t + 1]. So the first token is never predicted, and the last logits are never graded. token_ids
    (batch, T), whole numbers. Returns one number. NaN where there is nothing to predict. ValueError where the shapes
    cannot go together, or an id is none of the V and not pad_id.
    """
    if logits.ndim != 3 or logits.shape[:-1] != token_ids.shape:
        raise ValueError(
            "logits must have shape (batch, T, V) and token_ids (batch, T); "
            f"got {tuple(logits.shape)} and {tuple(token_ids.shape)}"
        )
    return label_smoothed_loss(logits[:, :-1], token_ids[:, 1:], smoothing=0.0, pad_id=pad_id)
