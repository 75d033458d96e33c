"""Going on with a text, token by token, for every decoder-only model."""

import torch

from clearformer.generation._arguments import evaluating, require_whole
from clearformer.nn._arguments import ID_DTYPES, require_token_ids


def generate_continuation(model, prompt_ids, max_new_tokens, end_id=None, choose=None, use_cache=True):
    """Write up to max_new_tokens tokens after each prompt.

    model: called as model(token_ids, cache) → logits (batch, T, vocab), with new_cache(), as Llama has them; its mode
    is put back. prompt_ids: a tensor (batch, T) on the model's device, or a list of lists of ids, of any lengths.
    choose: a function from logits (rows, vocab) to ids (rows,); None takes the likeliest. Without the cache every step
    computes everything again: slower, the same tokens.

    Returns the prompts with what was written after them, up to end_id and with it. For a tensor, a tensor (batch, T +
    new), in which rows that ended before others are filled up with end_id; for lists, lists. ValueError where an
    argument cannot be used.
    """
    require_whole("max_new_tokens", max_new_tokens)
    prompts = _as_tensors(model, prompt_ids)
    with evaluating(model):
        rows = _Rows(prompts, max_new_tokens, end_id)
        cache = model.new_cache() if use_cache else None
        while len(rows.ids):
            known = 0 if cache is None else cache.length
            logits = model(rows.ids[:, known : rows.length], cache)[:, -1]  # (rows, vocab)
            stay = rows.extend(logits.argmax(-1) if choose is None else _chosen(choose, logits))
            if stay is not None and cache is not None and len(stay):
                cache.keep(stay)
    if not isinstance(prompt_ids, torch.Tensor):
        return [ids.tolist() for ids in rows.finished]
    longest = max((len(ids) for ids in rows.finished), default=prompt_ids.shape[1])
    found = prompt_ids.new_full((len(prompt_ids), longest), 0 if end_id is None else end_id, dtype=torch.long)
    for row, ids in zip(found, rows.finished, strict=True):
        row[: len(ids)] = ids
    return found


class _Rows:
    """The rows that are still written: ids (rows, room), of which the first `length` columns are known in each.

    length begins with the shortest prompt. Where a prompt is longer, its own tokens come instead of chosen ones, so
    that no row needs padding. finished: what every row of the batch has become, None for those still written.
    """

    def __init__(self, prompts, max_new_tokens, end_id):
        self.finished = [None] * len(prompts)
        self._places = list(range(len(prompts)))  # of the rows, in finished
        lengths = [len(prompt) for prompt in prompts]
        self.length = min(lengths, default=0)
        device = prompts[0].device if prompts else None
        self.ids = torch.zeros(len(prompts), max(lengths, default=0) + max_new_tokens, dtype=torch.long, device=device)
        for row, prompt in zip(self.ids, prompts, strict=True):
            row[: len(prompt)] = prompt
        self._prompts = torch.tensor(lengths, dtype=torch.long, device=device)
        self._max_new_tokens, self._end_id = max_new_tokens, end_id

    def extend(self, chosen):
        """One column more, with chosen (rows,). Finished rows leave: then the numbers of those that stay, else None."""
        chosen = torch.where(self._prompts > self.length, self.ids[:, self.length], chosen)
        self.ids[:, self.length] = chosen
        self.length += 1
        written = self.length - self._prompts
        ended = written >= self._max_new_tokens
        if self._end_id is not None:
            ended |= (written > 0) & (chosen == self._end_id)
        if not ended.any():
            return None
        for row in ended.nonzero().flatten().tolist():
            self.finished[self._places[row]] = self.ids[row, : self.length]
        stay = (~ended).nonzero().flatten()
        self._places = [self._places[row] for row in stay.tolist()]
        self.ids, self._prompts = self.ids[stay], self._prompts[stay]
        return stay


def _as_tensors(model, prompt_ids):
    """A tensor (T,) for each prompt; ValueError where one is empty or holds what is no token."""
    if isinstance(prompt_ids, torch.Tensor):
        if prompt_ids.ndim != 2 or prompt_ids.dtype not in ID_DTYPES or not prompt_ids.shape[1]:
            raise ValueError(
                f"prompt_ids must be token ids (batch, T) with at least one token; got {prompt_ids.dtype} "
                f"{tuple(prompt_ids.shape)}"
            )
        prompts = list(prompt_ids)
    else:
        device = next(model.parameters()).device
        try:
            prompts = [torch.tensor(prompt, device=device) for prompt in prompt_ids]
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"prompt_ids must be a tensor (batch, T) or a list of lists of ids: {error}") from error
        for number, prompt in enumerate(prompts):
            if prompt.ndim != 1 or not len(prompt):
                raise ValueError(f"prompt_ids[{number}] must be a list of at least one id; got {prompt_ids[number]!r}")
    for prompt in prompts:
        require_token_ids("prompt_ids", prompt, model.config.vocab_size)
    return prompts


def _chosen(choose, logits):
    chosen = choose(logits)
    if not isinstance(chosen, torch.Tensor) or chosen.shape != logits.shape[:1] or chosen.dtype not in ID_DTYPES:
        got = f"{chosen.dtype} {tuple(chosen.shape)}" if isinstance(chosen, torch.Tensor) else type(chosen).__name__
        raise ValueError(f"choose must return token ids in shape (rows,) = ({len(logits)},); got {got}")
    return chosen
