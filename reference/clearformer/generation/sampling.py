"""Drawing the next token instead of taking the likeliest: temperature, top-k and top-p."""

import math
from numbers import Integral, Real

import torch
import torch.nn.functional as F

HALF = (torch.float16, torch.bfloat16)


def sampler(temperature=1.0, top_k=None, top_p=None, generator=None):
    """A function choose(logits) → ids that draws each next token, for generate_continuation.

    logits (..., vocab) → ids (...), int64, drawn from softmax(logits / temperature) after what top_k and then top_p
    leave out; None leaves nothing out. Temperature 0 is greedy. generator is a torch.Generator on the logits' device,
    or None for torch's own. ValueError here where an argument cannot be used, and from choose where a row of logits
    is no distribution: NaN, +inf, or -inf alone.
    """
    _require_temperature(temperature)
    _require_top_k(top_k)
    _require_top_p(top_p)

    def choose(logits):
        logits = _require_logits(logits)
        if temperature < torch.finfo(logits.dtype).tiny:
            return logits.argmax(dim=-1)
        logits = apply_temperature(logits, temperature)
        if top_k is not None:
            logits = keep_top_k(logits, top_k)
        if top_p is not None:
            logits = keep_top_p(logits, top_p)
        shape = logits.shape
        drawn = torch.multinomial(logits.softmax(dim=-1).reshape(-1, shape[-1]), num_samples=1, generator=generator)
        return drawn.reshape(shape[:-1])

    return choose


def apply_temperature(logits, temperature):
    """logits (..., vocab) divided by a temperature above 0, and shifted so that the largest is 0.

    The shift changes no probability, and keeps a small temperature from giving infinite logits. Below 1 the likely
    tokens become likelier, above 1 less so.
    """
    _require_temperature(temperature)
    if temperature == 0:
        raise ValueError("temperature must be above 0 to divide by; 0 is greedy, which needs no logits divided")
    logits = _require_logits(logits)
    return (logits - logits.amax(dim=-1, keepdim=True)) / temperature


def keep_top_k(logits, top_k):
    """logits (..., vocab) with -inf at all but the top_k largest of each row (Fan et al. 2018, section 3.2).

    Tokens as likely as the last of these stay too, so that there may be more. A top_k above vocab keeps all.
    """
    _require_top_k(top_k)
    logits = _require_logits(logits)
    smallest = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest, -torch.inf)


def keep_top_p(logits, top_p):
    """logits (..., vocab) with -inf outside of each row's nucleus (Holtzman et al. 2020, section 3.1).

    The nucleus is the smallest set of the likeliest tokens whose probabilities sum to at least top_p. The token that
    crosses top_p belongs to it, so it is never empty; of tokens equally likely the smaller ids come first. With top_p
    1 it is the whole vocabulary.
    """
    _require_top_p(top_p)
    logits = _require_logits(logits)
    if top_p == 1:
        return logits  # not left to the rounding of a sum
    probabilities, order = logits.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    before = F.pad(probabilities.cumsum(dim=-1)[..., :-1], (1, 0))  # the sum of all that are likelier
    outside = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(outside, -torch.inf)


def _require_logits(logits):
    """The logits, in float32 where they were in half precision."""
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        got = logits.dtype if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"logits must be a tensor of floats; got {got}")
    if logits.ndim < 1 or logits.shape[-1] == 0:
        raise ValueError(f"logits must have shape (..., vocab), with vocab above 0; got {tuple(logits.shape)}")
    if not logits.amax(dim=-1).isfinite().all():  # amax hands a NaN on
        raise ValueError("each row of logits must have a largest one that is finite, and no NaN")
    return logits.float() if logits.dtype in HALF else logits


def _require_temperature(temperature):
    if not isinstance(temperature, Real) or not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be a number of at least 0; got {temperature!r}")


def _require_top_k(top_k):
    if top_k is not None and (not isinstance(top_k, Integral) or isinstance(top_k, bool) or top_k < 1):
        raise ValueError(f"top_k must be a whole number of at least 1, or None; got {top_k!r}")


def _require_top_p(top_p):
    if top_p is not None and (not isinstance(top_p, Real) or not 0 < top_p <= 1):
        raise ValueError(f"top_p must be above 0 and at most 1, or None; got {top_p!r}")
