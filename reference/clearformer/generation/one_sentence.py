"""Greedy and beam search in plain Python, for one sentence and any function that gives logits.

Lesson 06 asks for these two. greedy.py and beam.py do the same for whole batches, with a cache.
"""

import math


def greedy_decode(next_token_logits, start_id, end_id, max_len):
    """Write token after token, each time the likeliest.

    next_token_logits(ids) takes a list of token ids that begins with start_id and returns the logits of the next
    token, (vocab,). Returns a list of ids, start_id and, where it was reached, end_id included: at most max_len in all.
    Among equally likely tokens the smallest id wins. ValueError where max_len is below 1.
    """
    _require_max_len(max_len)
    ids = [start_id]
    while len(ids) < max_len and (len(ids) == 1 or ids[-1] != end_id):
        logits = _as_list(next_token_logits(list(ids)))
        ids.append(max(range(len(logits)), key=logits.__getitem__))
    return ids


def beam_search(next_token_logits, start_id, end_id, max_len, beam_size):
    """Keep the beam_size best beginnings, extend each by every token, keep the best again.

    Arguments and result as in greedy_decode: the ids of the hypothesis with the highest score, the sum of the
    log-probabilities of its tokens, end_id's included. A hypothesis that ends with end_id is finished: it stays in
    the beam as it is and holds its place until better ones push it out. With beam_size 1 this is greedy_decode.
    ValueError where max_len or beam_size is below 1.
    """
    _require_max_len(max_len)
    if beam_size < 1:
        raise ValueError(f"beam_size must be at least 1; got {beam_size!r}")
    beam = [(0.0, [start_id], False)]  # score, ids, finished
    for _ in range(max_len - 1):
        candidates = []
        for score, ids, finished in beam:
            if finished:
                candidates.append((score, ids, True))
                continue
            for token, log_prob in enumerate(_log_softmax(_as_list(next_token_logits(list(ids))))):
                candidates.append((score + log_prob, [*ids, token], token == end_id))
        beam = sorted(candidates, key=lambda candidate: -candidate[0])[:beam_size]
        if all(finished for _, _, finished in beam):
            break
    return beam[0][1]


def _log_softmax(logits):
    largest = max(logits)
    log_sum = largest + math.log(sum(math.exp(logit - largest) for logit in logits))
    return [logit - log_sum for logit in logits]


def _as_list(logits):
    return logits.tolist() if hasattr(logits, "tolist") else list(logits)


def _require_max_len(max_len):
    if max_len < 1:
        raise ValueError(f"max_len must be at least 1, for start_id; got {max_len!r}")
