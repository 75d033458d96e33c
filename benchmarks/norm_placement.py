"""What does it matter where the norm stands? Gradients at initialisation and training, for post- and pre-norm.

    python benchmarks/norm_placement.py [--seeds 5] [--steps 200] [--out benchmarks/results/norm_placement.json]

The model is that of lesson 07: embedding, positions, an encoder of width 32, a linear output. The task is to sort a row
of 8 symbols out of 10; all rows are drawn anew, so no loss here is one of rows that were seen before. For one seed all
variants begin with the same weights and see the same rows.

gradients  Frobenius norm of the loss's gradient with respect to a matrix, layer by layer, before any training: the
           second one of each feed-forward sublayer, and the one that makes queries; 6, 12 and 24 layers
stream     mean square of the numbers between the layers, before any training, from the input on; no final norm
training   6 layers, Adam (0.9, 0.98), several peak rates, with warm-up (a straight line for the first quarter of the
           steps, constant afterwards) and without; the loss, a mean for every 10 steps
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import surroundings
from torch import nn

from clearformer.nn import Encoder, SinusoidalPositions, TokenEmbedding

SYMBOLS, LENGTH, BATCH = 10, 8, 32
D_MODEL, HEADS, D_FF = 32, 4, 64
DEPTHS = (6, 12, 24)
TRAINED_DEPTH = 6
PEAKS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
WITHOUT_FINAL_NORM = "pre, no final norm"
MATRICES = {"feed-forward": "feed_forward.linear2", "queries": "self_attention.query_proj"}


def new_model(num_layers, norm, seed, final_norm=None):
    torch.manual_seed(seed)
    encoder = Encoder(num_layers, D_MODEL, HEADS, D_FF, norm=norm, final_norm=final_norm)
    model = nn.Sequential(
        TokenEmbedding(SYMBOLS, D_MODEL), SinusoidalPositions(D_MODEL), encoder, nn.Linear(D_MODEL, SYMBOLS)
    )
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def rows(seed, number, size=BATCH):
    """Rows of symbols (size, 8), and the same sorted."""
    generator = torch.Generator().manual_seed(1_000_000 * seed + number)
    symbols = torch.randint(SYMBOLS, (size, LENGTH), generator=generator)
    return symbols, symbols.sort(dim=1).values


def loss_of(model, symbols, wanted):
    return F.cross_entropy(model(symbols).flatten(0, 1), wanted.flatten())


def gradient_norms(num_layers, norm, seed):
    """{matrix: [norm for each layer]}"""
    model = new_model(num_layers, norm, seed)
    loss_of(model, *rows(seed, 0)).backward()
    layers = model[2].layers
    return {
        name: [layer.get_submodule(where).weight.grad.norm().item() for layer in layers]
        for name, where in MATRICES.items()
    }


@torch.no_grad()
def stream(num_layers, norm, seed):
    """Mean square of the input and after each layer."""
    model = new_model(num_layers, norm, seed, final_norm=False)
    x = model[:2](rows(seed, 0)[0])
    sizes = [x.square().mean().item()]
    for layer in model[2].layers:
        x = layer(x)
        sizes.append(x.square().mean().item())
    return sizes


def losses(norm, seed, peak, warmup_steps, steps, final_norm=None):
    """The mean loss of every 10 steps."""
    model = new_model(TRAINED_DEPTH, norm, seed, final_norm)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9, fused=True)
    found = []
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = peak * min(1.0, step / max(warmup_steps, 1))
        loss = loss_of(model, *rows(seed, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [sum(found[start : start + 10]) / 10 for start in range(0, steps, 10)]


def training(seeds, steps):
    """One entry for each norm, peak and warm-up, with the curves of all seeds."""
    for peak in PEAKS:
        for warmup_steps in (0, steps // 4):
            for norm in ("post", "pre", WITHOUT_FINAL_NORM):
                how = ("pre", False) if norm == WITHOUT_FINAL_NORM else (norm, None)
                curves = [losses(how[0], seed, peak, warmup_steps, steps, how[1]) for seed in range(seeds)]
                last = [curve[-1] for curve in curves]
                print(f"peak {peak}, warm-up {warmup_steps:3}, {norm:18} last loss {min(last):.3f} to {max(last):.3f}")
                yield {"norm": norm, "peak": peak, "warmup_steps": warmup_steps, "curves": rounded(curves)}


def rounded(value):
    """Every number in nested lists and dicts with four digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [*map(rounded, value)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON, with the machine beside them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = surroundings(["torch"], threads=1) | {"seeds": options.seeds, "steps": options.steps}
    report["model"] = {"d_model": D_MODEL, "num_heads": HEADS, "d_ff": D_FF, "trained layers": TRAINED_DEPTH}
    seeds, norms = range(options.seeds), ("post", "pre")
    report["gradients"] = {
        norm: {str(depth): rounded([gradient_norms(depth, norm, seed) for seed in seeds]) for depth in DEPTHS}
        for norm in norms
    }
    report["stream"] = {norm: rounded([stream(max(DEPTHS), norm, seed) for seed in seeds]) for norm in norms}
    report["training"] = [*training(options.seeds, options.steps)]
    if options.out:
        options.out.write_text(json.dumps(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
