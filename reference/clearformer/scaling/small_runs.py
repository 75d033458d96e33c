"""Small decoders trained on a language whose entropy is known: points to fit laws to."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from clearformer.nn import Encoder, SinusoidalPositions, TokenEmbedding

LENGTH = 32  # tokens a sequence


class SmallDecoder(nn.Module):
    """Pre-norm layers under a causal mask; one table for the tokens and the output. d_ff is 4 · d_model.

    model(token_ids (batch, T)) → logits (batch, T, vocab_size).
    """

    def __init__(self, vocab_size, d_model, num_layers=1, num_heads=1):
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, d_model)
        self.positions = SinusoidalPositions(d_model)
        self.layers = Encoder(num_layers, d_model, num_heads, 4 * d_model, norm="pre", activation="gelu")

    def forward(self, token_ids):
        length = token_ids.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=token_ids.device).tril()
        return self.layers(self.positions(self.embedding(token_ids)), mask) @ self.embedding.weight.T


def next_token_loss(model, tokens):
    """Mean cross-entropy of what follows each token; tokens (batch, T)."""
    return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


@torch.no_grad()
def excess_loss(model, language, tokens):
    """Nats a token above the language's entropy: 0 for who knows the language."""
    log_probabilities = model(tokens).log_softmax(dim=-1)
    return language.expected_loss(log_probabilities, tokens) - language.entropy


def peak_rate(d_model):
    """Adam's highest learning rate: wide models take smaller steps."""
    return 0.1 / math.sqrt(d_model)


def train_small(model, language, num_tokens, rate, seed=0, batch=16, fall=None, read_at=()):
    """Train once over num_tokens of the language, and return [(tokens, excess loss)] at `read_at` and at the end.

    batch: sequences of LENGTH tokens in a step. The rate rises for a tenth of the steps. It falls in a straight line,
    to zero at the end, for the last share `fall` of the steps; None: from the warm-up on; 0: never.
    """
    steps = num_tokens // (batch * LENGTH)
    data = language.sample(steps * batch, LENGTH, seed=10_000 + seed).split(batch)
    test = language.sample(256, LENGTH, seed=9_999)
    warm_up = max(1, steps // 10)
    falling = steps + 1 - warm_up if fall is None else round(fall * steps)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98), fused=True)
    found = []
    for step, tokens in enumerate(data, 1):
        left = (steps + 1 - step) / falling if falling else 1.0
        optimizer.param_groups[0]["lr"] = rate * min(step / warm_up, 1.0, left)
        optimizer.zero_grad()
        next_token_loss(model, tokens).backward()
        optimizer.step()
        if step == steps or step * batch * LENGTH in read_at:
            found.append((step * batch * LENGTH, excess_loss(model, language, test)))
    return found


def steps_until(model, language, target, rate, batch, most, seed=0):
    """Steps at a constant rate until the training loss comes down to entropy + target; None if `most` do not do it.

    The loss is a running mean, over about 8,000 tokens at every batch, so that a small batch is not lucky.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98), fused=True)
    keep = max(0.0, 1 - batch * LENGTH / 8_000)
    total = weight = 0.0
    for step in range(1, most + 1):
        if step % 64 == 1:
            data = language.sample(64 * batch, LENGTH, seed=20_000_000 + 10_000 * seed + step).split(batch)
        loss = next_token_loss(model, data[(step - 1) % 64])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, weight = keep * total + loss.item(), keep * weight + 1
        if total / weight - language.entropy < target and step * batch * LENGTH > 8_000:
            return step
    return None
