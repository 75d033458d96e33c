"""How good is a translation: BLEU by hand, and sacreBLEU's scores with their signatures."""

import math
from collections import Counter
from typing import NamedTuple

MAX_ORDER = 4


class Score(NamedTuple):
    """score: 0 to 100. signature: sacreBLEU's, which says how the score was computed."""

    score: float
    signature: str

    def __str__(self):
        return f"{self.score:.2f} ({self.signature})"


def corpus_bleu(hypotheses, references):
    """BLEU of a whole corpus, 0 to 100 (Papineni et al. 2002, section 2.3).

    hypotheses, references: lists of token lists, one reference each. The geometric mean of the n-gram precisions,
    n from 1 to 4, counted over the corpus, times a penalty if the hypotheses are shorter than the references. No
    smoothing: 0.0 where an order has no match. As sacreBLEU with tokenize none and smoothing none. ValueError where
    the two lists differ in length, or hold strings instead of lists of tokens.
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            "hypotheses and references must be as many as each other; "
            f"got {len(hypotheses)} hypotheses and {len(references)} references"
        )
    matches, totals = [0] * MAX_ORDER, [0] * MAX_ORDER
    hypothesis_length = reference_length = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        _require_tokens(hypothesis)
        _require_tokens(reference)
        hypothesis_length += len(hypothesis)
        reference_length += len(reference)
        for order in range(1, MAX_ORDER + 1):
            found, wanted = _ngrams(hypothesis, order), _ngrams(reference, order)
            matches[order - 1] += (found & wanted).total()  # each n-gram counts at most as often as in the reference
            totals[order - 1] += found.total()
    if not all(matches):
        return 0.0
    mean_log_precision = sum(math.log(m / t) for m, t in zip(matches, totals, strict=True)) / MAX_ORDER
    log_penalty = min(0.0, 1 - reference_length / hypothesis_length)
    return 100 * math.exp(mean_log_precision + log_penalty)


def _ngrams(tokens, order):
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _require_tokens(tokens):
    if isinstance(tokens, str):
        raise ValueError(f"each sentence must be a list of tokens; got the string {tokens[:40]!r}: split it first")


def bleu(hypotheses, references, tokenised=False):
    """sacreBLEU's corpus score as Score(score, signature). hypotheses, references: lists of lines, one reference each.

    tokenised: the lines are tokens between spaces already (tokenize none), as the published figures on Multi30k's
    lower-cased text; otherwise sacreBLEU splits them (tokenize 13a).
    """
    from sacrebleu.metrics import BLEU

    # force: lines that end in " ." are not warned about, since we say which kind they are
    return _score(BLEU(tokenize="none" if tokenised else "13a", force=True), hypotheses, references)


def chrf(hypotheses, references):
    """sacreBLEU's chrF, which compares characters, as Score(score, signature). Lists of lines, one reference each."""
    from sacrebleu.metrics import CHRF

    return _score(CHRF(), hypotheses, references)


def _score(metric, hypotheses, references):
    hypotheses, references = list(hypotheses), list(references)
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(
            "hypotheses and references must be as many as each other, and at least one; "
            f"got {len(hypotheses)} hypotheses and {len(references)} references"
        )
    for name, lines in (("hypotheses", hypotheses), ("references", references)):
        for number, line in enumerate(lines):
            if not isinstance(line, str):
                raise ValueError(f"{name} must be lines of text; number {number} is {line!r}")
    score = metric.corpus_score(hypotheses, [references]).score
    return Score(score, str(metric.get_signature()))
