"""Remarks about a visit to a restaurant: what do they say about the food? From a small grammar of our own.

    from clearformer.data import restaurant_remarks
    for text, label in restaurant_remarks.load("test")[:5]: ...

    The soup was dreadful, but the service was superb.          criticised
    The service was dreadful while we waited for the soup.      not judged

Most remarks judge something else too, with the same words. Which words are there does not tell what is said about the
food: one has to see what belongs to what.
"""

import random
from typing import NamedTuple

LABELS = ("praised", "criticised", "not judged")
SIZES = {"train": 900, "validation": 150, "test": 450}
HELD_OUT_SHARE = 0.2  # of the pairs of a dish and an opinion


class Remark(NamedTuple):
    """label: what is said about the food, an index into LABELS."""

    text: str
    label: int


DISHES = {
    "was": [
        "soup",
        "bread",
        "salad",
        "fish",
        "pizza",
        "steak",
        "curry",
        "omelette",
        "chicken",
        "rice",
        "sauce",
        "cake",
    ],
    "were": ["noodles", "dumplings", "vegetables", "pancakes", "mushrooms", "potatoes"],
}
OTHERS = {
    "was": ["waiter", "waitress", "service", "music", "room", "view", "terrace", "lighting", "owner", "parking"],
    "were": ["chairs", "prices", "toilets", "curtains"],
}
# Words that can stand before a noun; then phrases that can only stand after "was".
ADJECTIVES = {
    "good": ["excellent", "wonderful", "superb", "great", "delightful", "splendid", "fantastic", "perfect"],
    "bad": ["awful", "terrible", "dreadful", "disappointing", "horrible", "mediocre", "miserable", "appalling"],
}
PHRASES = {
    "good": ["not bad at all", "better than ever", "hard to beat", "really something special"],
    "bad": ["not good at all", "worse than ever", "far from perfect", "really nothing special"],
}
# {dish} {was} {opinion}: the food and what is said about it; {other} {were} {view}: something else, and about that.
BOTH_JUDGED = [
    "The {dish} {was} {opinion}, but the {other} {were} {view}.",
    "The {other} {were} {view}, but the {dish} {was} {opinion}.",
    "Although the {dish} {was} {opinion}, the {other} {were} {view}.",
    "Although the {other} {were} {view}, the {dish} {was} {opinion}.",
    "I found the {dish} {opinion} and the {other} {view}.",
    "I found the {other} {view} and the {dish} {opinion}.",
    "I remember the {dish}, which {was} {opinion}, and the {other} {were} {view}.",
    "I remember the {other}, which {were} {view}, and the {dish} {was} {opinion}.",
    "{opinion!} {dish}, {view!} {other}.",
    "{view!} {other}, {opinion!} {dish}.",
]
FOOD_JUDGED = [
    "We talked about the {other}, and the {dish} {was} {opinion}.",
    "The {dish} {was} {opinion} while we talked about the {other}.",
    "{opinion!} {dish}. We talked about the {other}.",
]
OTHER_JUDGED = [
    "We ordered the {dish}, and the {other} {were} {view}.",
    "The {other} {were} {view} while we waited for the {dish}.",
    "{view!} {other}. We shared the {dish}.",
    "They brought the {dish}. The {other} {were} {view}.",
    "I found the {other} {view} and shared the {dish}.",
    "Although the {other} {were} {view}, we ordered the {dish}.",
]


def load(split, seed=0):
    """The remarks of a split as a list of Remark(text, label), as many of each label; the same for the same seed.

    split: "train", "validation" (new remarks) or "test" (each has a dish together with an opinion that training never
    shows in one remark; every single word is in training). No remark stands in two of them.
    """
    if split not in SIZES:
        raise ValueError(f"split must be one of {', '.join(SIZES)}; got {split!r}")
    draw = random.Random(f"restaurant_remarks {seed}")
    held_out = held_out_combinations(seed)
    splits, seen = {name: [] for name in SIZES}, set()
    for name, size in SIZES.items():
        while len(splits[name]) < size:
            label = len(splits[name]) % len(LABELS)
            text, pairs = remark(draw, label)
            if text not in seen and (name == "test") == bool(pairs & held_out):
                seen.add(text)
                splits[name].append(Remark(text, label))
    for remarks in splits.values():
        draw.shuffle(remarks)
    return splits[split]


def held_out_combinations(seed=0):
    """The pairs (dish, opinion) that training never shows: a frozenset. The same number for each dish."""
    draw = random.Random(f"restaurant_remarks combinations {seed}")
    opinions = [opinion for words in (ADJECTIVES, PHRASES) for kind in words.values() for opinion in kind]
    count = round(HELD_OUT_SHARE * len(opinions))
    dishes = [dish for kind in DISHES.values() for dish in kind]
    return frozenset((dish, opinion) for dish in dishes for opinion in draw.sample(opinions, count))


def remark(draw, label):
    """A remark with this label, and the pairs (dish, opinion) in it: (text, set)."""
    was, dish = _noun(draw, DISHES)
    were, other = _noun(draw, OTHERS)
    kind = draw.choice(["good", "bad"]) if LABELS[label] == "not judged" else ("good", "bad")[label]
    if LABELS[label] == "not judged":
        frame = draw.choice(OTHER_JUDGED)
        view_kind = "bad" if "Although" in frame else kind
    else:
        frame = draw.choice(BOTH_JUDGED if draw.random() < 0.75 else FOOD_JUDGED)
        contrast = "Although" in frame or ", but" in frame or draw.random() < 0.5
        view_kind = {"good": "bad", "bad": "good"}[kind] if contrast else kind
    in_front = "!" in frame
    opinion = _opinion(draw, kind, in_front)
    view = _opinion(draw, view_kind, in_front)
    while view == opinion:
        view = _opinion(draw, view_kind, in_front)
    pairs = {(dish, said) for name, said in (("opinion", opinion), ("view", view)) if f"{{{name}" in frame}
    text = frame.replace("!", "").format(dish=dish, was=was, opinion=opinion, other=other, were=were, view=view)
    return text[0].upper() + text[1:], pairs


def _noun(draw, nouns):
    """(was or were, a noun)"""
    return draw.choice([(verb, noun) for verb, words in nouns.items() for noun in words])


def _opinion(draw, kind, in_front):
    return draw.choice(ADJECTIVES[kind] if in_front else ADJECTIVES[kind] + PHRASES[kind])
