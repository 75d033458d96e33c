"""Greedy search: at each step the likeliest token, for a whole batch at once."""

import torch

from clearformer.generation._arguments import evaluating, pad_id_of, prepare
from clearformer.nn.cache import DecoderCache

# Rows that are finished leave the batch once they are this share of it: leaving means copying what the others keep.
LEAVE_SHARE = 0.25


def generate_greedy(model, source_ids, max_len, start_id=1, end_id=2, forbidden_ids=None, use_cache=True):
    """Write a target for each source, token by token, until end_id or max_len tokens.

    model: anything with encode, source_mask and decode as Transformer has them; its mode is put back. source_ids
    (batch, S), on its device. Returns ids (batch, T), T ≤ max_len: each row begins with start_id and holds end_id where
    it was reached, and pad_id after it. forbidden_ids cannot be chosen: None means pad_id, which would look like the
    end of the row. Without the cache every step computes everything again: slower, the same tokens. ValueError where
    an argument cannot be used.
    """
    with evaluating(model):
        memory, source_mask, forbidden = prepare(model, source_ids, max_len, forbidden_ids)
        ids = source_ids.new_full((len(source_ids), max_len), pad_id_of(model), dtype=torch.long)
        ids[:, 0] = start_id
        length = 1
        rows = torch.arange(len(source_ids), device=source_ids.device)  # of ids, that are still in the batch
        finished = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        cache = DecoderCache() if use_cache else None
        while length < max_len and len(rows):
            known = 0 if cache is None else cache.length
            logits = model.decode(ids[rows, known:length], memory, source_mask, cache)[:, -1]  # (rows, vocab)
            if forbidden is not None:
                logits.index_fill_(-1, forbidden, -torch.inf)
            chosen = logits.argmax(-1).masked_fill_(finished, pad_id_of(model))
            ids[rows, length] = chosen
            length += 1
            finished |= chosen == end_id
            num_finished = int(finished.sum())
            if num_finished and num_finished >= LEAVE_SHARE * len(rows):
                stay = (~finished).nonzero().squeeze(-1)
                rows, finished = rows[stay], finished[stay]
                memory, source_mask = memory[stay], source_mask[stay]
                if cache is not None and len(rows):
                    cache.keep(stay)
    return ids[:, :length].clone()  # as an ordinary tensor
