"""Beam search: the few best beginnings side by side, for a whole batch at once."""

from typing import NamedTuple

import torch

from clearformer.generation._arguments import evaluating, pad_id_of, prepare, require_whole
from clearformer.nn.cache import DecoderCache

CHUNK = 64  # tokens, when the highest logits are looked for


class Hypotheses(NamedTuple):
    """ids (..., T): from start_id to end_id or to max_len, then pad_id; scores (...), comparable for one source."""

    ids: torch.Tensor
    scores: torch.Tensor


def generate_beam(model, source_ids, max_len, beam_size=5, length_penalty=0.0, **options):
    """The best hypothesis for each source, as Hypotheses with ids (batch, T) and scores (batch,).

    The score is the sum of the tokens' log-probabilities, end_id's included, divided by ((5 + n) / 6)^length_penalty
    for n tokens after start_id (Wu et al. 2016, eq. 14, without its coverage penalty); 0 means no division. At each
    step the beam_size best stay. A finished hypothesis, one with end_id, keeps its place as long as it is among them.
    A source leaves the batch when nothing in its beam can overtake its best finished hypothesis.

    options: start_id=1, end_id=2, forbidden_ids=None, use_cache=True; these and the other arguments as in
    generate_greedy, which is what beam_size 1 without a length penalty gives. ValueError where one cannot be used.
    """
    beams = _search(model, source_ids, max_len, beam_size, length_penalty, only_best=True, **options)
    return Hypotheses(beams.ids[:, 0], beams.scores[:, 0])


def generate_beams(model, source_ids, max_len, beam_size=5, length_penalty=0.0, **options):
    """All hypotheses of the last beams, best first: ids (batch, beam_size, T) and scores (batch, beam_size).

    Arguments as in generate_beam. In a place that no hypothesis could take the score is -inf.
    """
    return _search(model, source_ids, max_len, beam_size, length_penalty, only_best=False, **options)


def _search(model, source_ids, max_len, beam_size, length_penalty, only_best, start_id=1, end_id=2,
            forbidden_ids=None, use_cache=True):  # fmt: skip
    require_whole("beam_size", beam_size)
    if not length_penalty >= 0:
        raise ValueError(f"length_penalty must be at least 0; got {length_penalty!r}")
    with evaluating(model):
        memory, source_mask, forbidden = prepare(model, source_ids, max_len, forbidden_ids)
        beams = _Beams(source_ids, max_len, beam_size, length_penalty, start_id, end_id, pad_id_of(model))
        reader = _Reader(model, memory, source_mask, beam_size, use_cache)
        while beams.length < max_len and len(beams.sources):
            logits = reader.next_logits(beams.ids[:, :, : beams.length].flatten(0, 1))  # (rows, vocab)
            if forbidden is not None:
                logits.index_fill_(-1, forbidden, -torch.inf)
            parents = beams.extend(*_likeliest(logits, beam_size))
            reader.keep(parents, beams.retire(only_best))
        found = beams.result()
    return Hypotheses(*(tensor.clone() for tensor in found))  # as ordinary tensors


class _Beams:
    """The hypotheses of the sources that are still in the batch, and those of the ones that left it.

    sources (A,): their places in the batch. ids (A, beam, max_len); log_probs (A, beam), the sums; scores (A, beam),
    highest first, -inf where a place is free; finished (A, beam).
    """

    def __init__(self, source_ids, max_len, beam_size, length_penalty, start_id, end_id, pad_id):
        batch, device = len(source_ids), source_ids.device
        self.sources = torch.arange(batch, device=device)
        self.ids = torch.full((batch, beam_size, max_len), pad_id, device=device)
        self.ids[:, :, 0] = start_id
        self.log_probs = torch.full((batch, beam_size), -torch.inf, dtype=torch.float64, device=device)
        self.log_probs[:, 0] = 0.0  # one beginning; the other places are free
        self.scores = self.log_probs
        self.finished = torch.zeros(batch, beam_size, dtype=torch.bool, device=device)
        self.length, self.max_len, self.length_penalty = 1, max_len, length_penalty
        self.end_id, self.pad_id = end_id, pad_id
        self._all_ids, self._all_scores = self.ids.clone(), self.scores.clone()

    def extend(self, log_probs, tokens):
        """Go on with the best of: finished hypotheses, and others plus a token. Both arguments (rows, k).

        Returns the places (A, beam) in the beams before from which those in the new ones come.
        """
        active, beam_size = self.scores.shape
        log_probs = self.log_probs[:, :, None] + log_probs.view(active, beam_size, -1)  # (A, beam, k)
        candidates = log_probs / self._penalty(self.length)
        candidates.masked_fill_(self.finished[:, :, None], -torch.inf)
        candidates[:, :, 0] = torch.where(self.finished, self.scores, candidates[:, :, 0])  # as it is, once
        self.scores, best = candidates.flatten(1).topk(beam_size)
        parents = best.div(log_probs.shape[-1], rounding_mode="floor")
        self.log_probs = log_probs.flatten(1).gather(1, best)
        was_finished = self.finished.gather(1, parents)
        tokens = tokens.view(active, -1).gather(1, best).masked_fill_(was_finished, self.pad_id)
        self.ids[:, :, : self.length] = self.ids[:, :, : self.length].gather(
            1, parents[:, :, None].expand(-1, -1, self.length)
        )
        self.ids[:, :, self.length] = tokens
        self.finished = was_finished | ((tokens == self.end_id) & (self.scores > -torch.inf))
        self.length += 1
        return parents

    def retire(self, only_best):
        """Put aside the sources that are done; the numbers (A',) of those that go on, or None where all do."""
        running = (~self.finished) & (self.scores > -torch.inf)
        done = ~running.any(-1)
        if only_best:
            # a sum can only fall; a longer hypothesis divides it by more
            hope = self.log_probs.masked_fill(~running, -torch.inf).amax(-1) / self._penalty(self.max_len - 1)
            done |= self.scores.masked_fill(~self.finished, -torch.inf).amax(-1) >= hope
        if not done.any():
            return None
        self._put_aside(done)
        stay = (~done).nonzero().squeeze(-1)
        for name in ("sources", "ids", "log_probs", "scores", "finished"):
            setattr(self, name, getattr(self, name)[stay])
        return stay

    def result(self):
        self._put_aside(torch.ones_like(self.sources, dtype=torch.bool))
        return Hypotheses(self._all_ids[:, :, : self.length], self._all_scores)

    def _put_aside(self, which):
        self._all_ids[self.sources[which]] = self.ids[which]
        self._all_scores[self.sources[which]] = self.scores[which]

    def _penalty(self, num_tokens):
        return ((5 + num_tokens) / 6) ** self.length_penalty


class _Reader:
    """Asks the model for the next logits of every row, with a cache or without."""

    def __init__(self, model, memory, source_mask, beam_size, use_cache):
        self._model, self._beam_size = model, beam_size
        self._memory, self._source_mask = memory, source_mask
        self._cache = DecoderCache() if use_cache else None

    def next_logits(self, ids):
        """ids (rows, length), beam_size rows for each source → (rows, vocab)."""
        if self._cache is not None:  # whose rows share the sources
            return self._model.decode(ids[:, self._cache.length :], self._memory, self._source_mask, self._cache)[:, -1]
        memory, mask = (x.repeat_interleave(self._beam_size, dim=0) for x in (self._memory, self._source_mask))
        return self._model.decode(ids, memory, mask)[:, -1]

    def keep(self, parents, stay):
        """Follow the beams: parents (A, beam), and the sources that go on, or None for all."""
        rows = parents + self._beam_size * torch.arange(len(parents), device=parents.device)[:, None]  # (A, beam)
        if stay is not None:
            rows, self._memory, self._source_mask = rows[stay], self._memory[stay], self._source_mask[stay]
        if self._cache is not None and len(rows):
            self._cache.keep(rows.flatten(), stay)


def _likeliest(logits, count):
    """The highest log-probabilities of each row and their tokens, both (rows, count or vocab)."""
    dtype = torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype
    # A row cannot give the beam more than `count`.
    return _highest(logits.log_softmax(-1, dtype=dtype), min(count, logits.shape[-1]))


def _highest(logits, count):
    """As logits.topk(count): (values, tokens), both (rows, count), in a quarter of its time on a CPU.

    The `count` highest of a row lie in the `count` chunks with the highest maxima, and a maximum is found faster than
    an order.
    """
    chunks = logits.shape[-1] // CHUNK
    if logits.device.type != "cpu" or chunks < 2 * count:
        return logits.topk(count)
    in_chunks = logits[:, : chunks * CHUNK].unflatten(1, (chunks, CHUNK))
    best = in_chunks.amax(-1).topk(count).indices  # (rows, count)
    candidates = in_chunks.gather(1, best[:, :, None].expand(-1, -1, CHUNK)).flatten(1)  # (rows, count * CHUNK)
    candidates = torch.cat([candidates, logits[:, chunks * CHUNK :]], dim=1)  # and those behind the last chunk
    values, places = candidates.topk(count)
    chunk = best.gather(1, (places // CHUNK).clamp_(max=count - 1))
    tokens = torch.where(places < count * CHUNK, chunk * CHUNK + places % CHUNK, places + (chunks - count) * CHUNK)
    return values, tokens
