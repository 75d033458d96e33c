"""Encoder-only, decoder-only, encoder-decoder: who sees whom, and which words are asked for."""

import numpy as np

from clearformer.plots.mask_grid import mask_grid


def three_families():
    """(figure, alt text): the same four words in a model of each family."""
    from clearformer.plots.figure import new_figure

    figure, panels = new_figure(cols=3, width=11.4, height=4.4, gridspec_kw={"width_ratios": [4, 4, 6]})
    causal = np.tri(4, dtype=bool)
    masked = ["two", "<mask>", "sew", "coats"]
    mask_grid(panels[0], np.ones((4, 4), bool), ["two", "<mask>  ⇒ tailors", "sew", "coats"], masked, "Encoder: BERT")
    read = ["<start>", "two", "tailors", "sew"]
    say = [f"{word}  ⇒ {then}" for word, then in zip(read, ["two", "tailors", "sew", "coats"], strict=True)]
    mask_grid(panels[1], causal, say, read, "Decoder: GPT")
    source, read = ["two", "<1>", "coats"], ["<start>", "<1>", "tailors", "sew"]
    say = [f"{word}  ⇒ {then}" for word, then in zip(read, ["<1>", "tailors", "sew", "<2>"], strict=True)]
    both = np.hstack([np.ones((4, 3), bool), causal])
    mask_grid(panels[2], both, say, [*source, *read], "Encoder-decoder: T5")
    panels[2].axvline(2.5, color="#1f2328", linewidth=1.5)
    for axes in panels:
        axes.set(xlabel="may be seen (dot) or not (hatched)", ylabel="")
        axes.tick_params(axis="x", rotation=50)
    figure.supylabel("the token that looks  ⇒ the word asked for", fontsize=10.5)
    return figure, (
        "Three grids of who may see whom. In the encoder every token sees all four, and the masked one is asked for "
        "the word tailors. In the decoder each token sees itself and those before it, and each is asked for the next "
        "word. In the encoder-decoder each token of the decoder sees all of the encoder's, two, <1>, coats, and its "
        "own kind up to itself; it is asked for <1>, tailors, sew, <2>, the words that are missing."
    )
