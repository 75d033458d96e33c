"""Who looks at whom: attention weights between real words, by mouse, by keyboard and without colour."""

from collections import Counter
from html import escape

import anywidget
import numpy as np
import traitlets

from clearformer.plots.style import DARK_RAMP, LIGHT_RAMP, browser_half, shades

MOST_WORDS = 40
TOP = 4  # how many words a sentence names before it sums up the rest


class AttentionMap(anywidget.AnyWidget):
    """The widget behind `attention_map`. All it says is worked out here, so the browser needs no kernel."""

    _esm = browser_half("widget.js", "attention_map.js")
    _css = browser_half("widget.css", "attention_map.css")
    title = traitlets.Unicode().tag(sync=True)
    query_words = traitlets.List().tag(sync=True)
    key_words = traitlets.List().tag(sync=True)
    head_names = traitlets.List().tag(sync=True)
    heads = traitlets.List().tag(sync=True)  # per head, per query: a sentence, the numbers, their shades
    shades = traitlets.Dict().tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)
    column = traitlets.Int(0).tag(sync=True)

    def __init__(self, weights, query_words, key_words, title, head_names):
        self.weights = weights
        super().__init__(
            title=title,
            query_words=query_words,
            key_words=key_words,
            head_names=head_names,
            heads=[[_row(row, query, query_words, key_words) for query, row in enumerate(h)] for h in weights],
            shades={"light": shades(LIGHT_RAMP), "dark": shades(DARK_RAMP)},
        )

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = self._as_text()
        data["text/html"] = self._as_table()
        return data, metadata

    def _caption(self):
        return self.title + (f" ({self.head_names[self.head]})" if len(self.heads) > 1 else "")

    def _as_text(self):
        sentences = [row["sentence"] for row in self.heads[self.head]]
        return "\n".join([self._caption(), *sentences])

    def _as_table(self):
        names = "".join(f'<th scope="col" style="{_CELL}">{escape(word)}</th>' for word in self.key_words)
        body = "\n".join(
            f'<tr><th scope="row" style="{_WORD}">{escape(word)}</th>{_static_cells(row)}</tr>'
            for word, row in zip(self.query_words, self.heads[self.head], strict=True)
        )
        more = "move from word to word" + (" and choose another head" if len(self.heads) > 1 else "")
        return (
            f'<table style="margin: 0"><caption style="text-align: left; font-weight: bold; padding: 0 0 8px 8px">'
            f"{escape(self._caption())}</caption>\n"
            f'<thead><tr><th scope="col" style="{_CELL}">looks at →</th>{names}</tr></thead>\n'
            f'<tbody>\n{body}\n</tbody></table>\n<p style="margin-top: 12px">Run this cell to {more}.</p>'
        )


def attention_map(weights, query_words, key_words, title="", head_names=None):
    """Show attention weights as a map that the reader walks through word by word.

    weights (T_q, T_k) or (heads, T_q, T_k), NumPy or torch, each from 0 to 1; query_words and key_words: one
    text for each row and column; head_names: one for each head ("head 1", … if None). ValueError where
    these do not fit together, a weight is not finite or not from 0 to 1, or the title is missing.
    """
    weights = _checked_weights(weights)
    query_words, key_words = _checked_words(query_words, "query_words"), _checked_words(key_words, "key_words")
    if (len(query_words), len(key_words)) != weights.shape[1:]:
        raise ValueError(
            f"{len(query_words)} query_words and {len(key_words)} key_words need weights of shape "
            f"({len(query_words)}, {len(key_words)}) in each head, but they are {weights.shape[1:]}"
        )
    if head_names is None:
        head_names = [f"head {number}" for number in range(1, len(weights) + 1)]
    head_names = [str(name) for name in head_names]
    if len(head_names) != len(weights):
        raise ValueError(f"head_names has {len(head_names)} names for {len(weights)} heads")
    if not title.strip():
        raise ValueError("title is missing: say what the map shows")
    return AttentionMap(weights, query_words, key_words, title, head_names)


def _checked_weights(weights):
    if hasattr(weights, "detach"):  # a torch tensor
        weights = weights.detach().cpu().double().numpy()
    weights = np.array(weights, dtype=float)
    if weights.ndim not in (2, 3) or 0 in weights.shape:
        raise ValueError(f"weights must have shape (T_q, T_k) or (heads, T_q, T_k), but has {weights.shape}")
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite, but some are NaN or infinite")
    if weights.min() < -1e-6 or weights.max() > 1 + 1e-6:
        raise ValueError(
            f"weights must lie between 0 and 1, but they reach from {weights.min():.3g} to {weights.max():.3g}: "
            "these look like scores before the softmax"
        )
    return weights.clip(0, 1).reshape(-1, *weights.shape[-2:])


def _checked_words(words, argument):
    words = list(words)
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"{argument} must be a list of texts, but is {words!r}")
    if len(words) > MOST_WORDS:
        raise ValueError(f"{argument} has {len(words)} words; the map is legible up to {MOST_WORDS}: show a part")
    return [_visible(word) for word in words]


def _visible(word):
    # A token of blanks or line ends must still be seen.
    shown = word.replace("\n", "⏎").replace("\t", "⇥")
    return shown if shown.strip() else "␣" * max(len(shown), 1)


def _row(weights, query, query_words, key_words):
    """All the browser shows of one row: a sentence, the printed numbers, the steps on the colour ramp."""
    return {
        "sentence": _sentence(weights, query, query_words, key_words),
        "texts": [_number(weight) for weight in weights],
        "steps": [round(100 * float(weight)) for weight in weights],
    }


def _sentence(weights, query, query_words, key_words):
    name = f"“{_tell_apart(query_words)[query]}”"
    seen = [k for k in np.argsort(-weights, kind="stable") if weights[k] > 0]
    if not seen:
        return f"{name} looks at nothing: all its weights are 0."
    keys = _tell_apart(key_words)
    named = seen if len(seen) <= TOP + 1 else seen[:TOP]
    parts = [f"{keys[k]} {_number(weights[k])}" for k in named]
    if len(seen) > len(named):
        rest = sum(weights[k] for k in seen[len(named) :])
        parts.append(f"{len(seen) - len(named)} others {_number(rest)} together")
    return f"{name} looks at: {', '.join(parts)}."


def _number(weight):
    # A hidden word has exactly 0 and is printed so; a small weight is 0.00.
    return "0" if weight == 0 else f"{weight:.2f}"


def _tell_apart(words):
    # Positions count from 1, as a reader counts.
    counts = Counter(words)
    return [f"{word} ({i})" if counts[word] > 1 else word for i, word in enumerate(words, 1)]


_CELL = "text-align: center; padding: 6px 10px"
_WORD = "text-align: right; padding: 6px 10px; font-weight: normal"


def _static_cells(row):
    ramp = shades(LIGHT_RAMP)
    return "".join(
        f'<td style="{_CELL}; background-color: {ramp[step][0]}; color: {ramp[step][1]}">{text}</td>'
        for text, step in zip(row["texts"], row["steps"], strict=True)
    )
