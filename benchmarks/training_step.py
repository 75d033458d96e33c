"""How long does a training step take, beside torch.nn.Transformer and x-transformers?

    python benchmarks/training_step.py [--rounds 15] [--threads 2] [--out benchmarks/results/training_step.json]

A step: forward, loss, backward, Adam. 2 + 2 layers of d_model 512, 8 heads, d_ff 2,048, vocabulary 8,000, one table
for both embeddings and the output, batch 32, sentences of 24 tokens of which the last 4 are padding, float32, without
and with dropout 0.1. All three stand between the same embeddings, positions, output, label-smoothed loss and fused
Adam, and get the same masks; only encoder and decoder differ. torch's has our weights, and before anything is timed its
loss has to be ours. x-transformers is set to the same form: post-norm, ReLU, dropout in the same places, torch's fused
attention. Its projections have no bias, so it has a little less to do.

The floor is what the matrix products of one step take by themselves: all linear maps, forward and backward, in these
very sizes, called one after the other in the same rounds. Their share of our step tells how much the rest costs.
"""

import argparse
import json
from pathlib import Path

import torch
from measuring import interleaved, ratio, spread, surroundings
from torch import nn

from clearformer.models import Transformer, TransformerConfig, to_torch
from clearformer.training.loss import label_smoothed_loss

BATCH, LENGTH, PADDED, VOCAB = 32, 24, 4, 8000
LAYERS, D_MODEL, HEADS, D_FF = 2, 512, 8, 2048
DROPOUTS = (0.0, 0.1)


def batch():
    generator = torch.Generator().manual_seed(0)
    source_ids, target_ids, labels = torch.randint(3, VOCAB, (3, BATCH, LENGTH), generator=generator)
    for ids in (source_ids, target_ids, labels):
        ids[:, LENGTH - PADDED :] = 0
    return source_ids, target_ids, labels


def our_model(dropout):
    config = TransformerConfig(
        VOCAB, d_model=D_MODEL, num_heads=HEADS, d_ff=D_FF, num_encoder_layers=LAYERS, num_decoder_layers=LAYERS,
        dropout=dropout,
    )  # fmt: skip
    return Transformer(config, torch.Generator().manual_seed(0))


class Around(nn.Module):
    """Our embeddings, positions and output around somebody else's encoder and decoder."""

    def __init__(self, dropout):
        super().__init__()
        ours = our_model(dropout)
        self.stacks = self.make_stacks(ours, dropout)
        self.embedding, self.positions, self.output = ours.source_embedding, ours.positions, ours.output

    def forward(self, source_ids, target_ids):
        source, target = (self.positions(self.embedding(ids)) for ids in (source_ids, target_ids))
        return self.output(self.between(source, target, source_ids == 0, target_ids == 0))


class Torch(Around):
    def make_stacks(self, ours, dropout):
        return to_torch(ours)

    def between(self, source, target, source_padding, target_padding):
        causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        return self.stacks(
            source, target, tgt_mask=causal, tgt_is_causal=True, src_key_padding_mask=source_padding,
            tgt_key_padding_mask=target_padding, memory_key_padding_mask=source_padding,
        )  # fmt: skip


class XTransformers(Around):
    def make_stacks(self, ours, dropout):
        from x_transformers import Decoder, Encoder

        form = dict(
            dim=D_MODEL, depth=LAYERS, heads=HEADS, attn_dim_head=D_MODEL // HEADS, pre_norm=False, attn_flash=True,
            ff_custom_activation=nn.ReLU(), attn_dropout=dropout, attn_sublayer_dropout=dropout, ff_dropout=dropout,
            ff_sublayer_dropout=dropout,
        )  # fmt: skip
        return nn.ModuleList([Encoder(**form), Decoder(cross_attend=True, **form)])

    def between(self, source, target, source_padding, target_padding):
        encoder, decoder = self.stacks
        memory = encoder(source, mask=~source_padding)
        return decoder(target, mask=~target_padding, context=memory, context_mask=~source_padding)


MODELS = {"clearformer": our_model, "torch.nn.Transformer": Torch, "x-transformers": XTransformers}


def stepper(model):
    """A function that makes one step and returns the loss."""
    source_ids, target_ids, labels = batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True)
    model.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = label_smoothed_loss(model(source_ids, target_ids), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def linear_maps():
    """(how many in a step, inputs, outputs) of all linear maps; each sees batch · length tokens."""
    attentions = LAYERS + 2 * LAYERS
    return [(4 * attentions, D_MODEL, D_MODEL), (2 * LAYERS, D_MODEL, D_FF), (2 * LAYERS, D_FF, D_MODEL),
            (1, D_MODEL, VOCAB)]  # fmt: skip


def products_of_a_step():
    """A function that computes the matrix products of all linear maps of a step; how many operations these are."""
    tokens, calls, operations = BATCH * LENGTH, [], 0
    for count, inputs, outputs in linear_maps():
        x, weight, grad = torch.randn(tokens, inputs), torch.randn(outputs, inputs), torch.randn(tokens, outputs)
        calls.append((count, x, weight, grad))
        operations += count * 3 * 2 * tokens * inputs * outputs

    def run():
        for count, x, weight, grad in calls:
            for _ in range(count):
                x @ weight.T  # forward
                grad @ weight  # for the gradient of x
                grad.T @ x  # for the gradient of the weight

    return run, operations


def attention_operations():
    """Of scores and mixing, forward and backward, with every key counted, hidden or not."""
    return 3 * LAYERS * 3 * 2 * 2 * BATCH * LENGTH * LENGTH * D_MODEL


def measure(dropout, rounds):
    steps = {name: stepper(make(dropout)) for name, make in MODELS.items()}
    first = {name: step() for name, step in steps.items()}
    if dropout == 0 and abs(first["clearformer"] - first["torch.nn.Transformer"]) > 1e-4:
        raise RuntimeError(f"these are not the same model: their losses are {first}")
    products, operations = products_of_a_step()
    seconds = interleaved(steps | {"matrix products alone": products}, rounds)
    ours, alone = seconds["clearformer"], seconds["matrix products alone"]
    return {
        "step_ms": {name: spread(times, 1000) for name, times in seconds.items()},
        "clearformer_times": {name: ratio(ours, seconds[name]) for name in steps if name != "clearformer"},
        "gigaflop_of_linear_maps": round(operations / 1e9, 2),
        "gigaflop_of_attention": round(attention_operations() / 1e9, 2),
        "gigaflop_per_second_of_products": spread([operations / 1e9 / time for time in alone], digits=1),
        "share_of_matrix_product_rate": spread([a / b for a, b in zip(alone, ours, strict=True)], digits=3),
    }


def rows(found):
    """(what, figure, target, is it met) of one dropout."""
    for name, times in found["clearformer_times"].items():
        yield f"time of a step, {name} = 1", times["median"], "<= 1.0", times["median"] <= 1.0
    share = found["share_of_matrix_product_rate"]["median"]
    yield "share of the matrix-product rate", share, ">= 0.8", share >= 0.8


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = surroundings(["torch", "x-transformers"], options.threads) | {"rounds": options.rounds}
    report["dropout"], report["targets"] = {}, {}
    for dropout in DROPOUTS:
        found = report["dropout"][str(dropout)] = measure(dropout, options.rounds)
        for name, times in found["step_ms"].items():
            print(f"dropout {dropout}: {name:32} {times['median']:7.1f} ms")
        for what, figure, target, met in rows(found):
            print(f"dropout {dropout}: {what:44} {figure:6.3f}  {target}  {'met' if met else 'MISSED'}")
            report["targets"][f"dropout {dropout}: {what} {target}"] = met
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
