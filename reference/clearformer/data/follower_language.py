"""A language that is made up, so that one knows what nobody can predict: its entropy is known exactly."""

import math

import torch

PROBABILITIES = (0.5, 0.25, 0.15, 0.1)
BURN_IN = 16  # tokens that are thrown away, so that the random beginning is forgotten


class FollowerLanguage:
    """Every token has four followers of its own, with probabilities 0.5, 0.25, 0.15 and 0.1.

    Which four is drawn once, from the seed, and common tokens are drawn more often, the k-th as 1/k: so some tokens
    are frequent and many are rare, as in a natural language (Zipf's law). To predict the next token is to know the
    followers of the last one; what is left then is `entropy`, in nats a token, after every token the same.
    """

    def __init__(self, vocab_size=256, seed=0):
        if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < len(PROBABILITIES):
            raise ValueError(f"vocab_size must be a whole number of at least 4; got {vocab_size!r}")
        self.vocab_size = vocab_size
        self.probabilities = torch.tensor(PROBABILITIES)
        self.entropy = -sum(p * math.log(p) for p in PROBABILITIES)
        generator = torch.Generator().manual_seed(seed)
        keys = self._keys((vocab_size,), generator)
        self.followers = keys.topk(len(PROBABILITIES)).indices  # (vocab, 4)

    def _keys(self, shape, generator):
        """-log k + Gumbel noise: the largest are draws without repetition, in proportion to 1/k."""
        ranks = torch.arange(1, self.vocab_size + 1, dtype=torch.float64)
        uniform = torch.rand(*shape, self.vocab_size, generator=generator, dtype=torch.float64)
        return -torch.log(-torch.log(uniform)) - ranks.log()

    def sample(self, num_sequences, length, seed):
        """Token ids (num_sequences, length), int64."""
        generator = torch.Generator().manual_seed(seed)
        total = length + BURN_IN
        choices = torch.multinomial(self.probabilities, num_sequences * total, replacement=True, generator=generator)
        choices = choices.view(num_sequences, total)
        tokens = torch.empty(num_sequences, total, dtype=torch.long)
        tokens[:, 0] = torch.randint(self.vocab_size, (num_sequences,), generator=generator)
        for t in range(1, total):
            tokens[:, t] = self.followers[tokens[:, t - 1], choices[:, t]]
        return tokens[:, BURN_IN:]

    def expected_loss(self, log_probabilities, tokens):
        """Mean cross-entropy in nats of predictions for what follows each token, over everything that may follow.

        tokens (batch, T); log_probabilities (batch, T, vocab): at position t, of token t + 1. It is `entropy` for who
        knows the language, and above it for everybody else.
        """
        said = log_probabilities.gather(-1, self.followers[tokens])  # (batch, T, 4)
        return -(said * self.probabilities.to(said)).sum(dim=-1).mean().item()
