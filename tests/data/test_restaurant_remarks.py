"""The remarks about restaurants: what the labels mean, sound splits, and that single words do not give them away."""

import re
from collections import Counter

import pytest

from clearformer.data import restaurant_remarks
from clearformer.data.restaurant_remarks import ADJECTIVES, DISHES, LABELS, OTHERS, PHRASES, SIZES, load

GOOD, BAD = ([*ADJECTIVES[kind], *PHRASES[kind]] for kind in ("good", "bad"))
DISH_NAMES = [dish for names in DISHES.values() for dish in names]


def said_of_the_food(text):
    """The label by rules of another kind than the grammar's: which opinion stands with the dish?"""
    text = text.lower()
    dish = "|".join(DISH_NAMES)
    for label, opinions in (("praised", GOOD), ("criticised", BAD)):
        opinion = "|".join(map(re.escape, sorted(opinions, key=len, reverse=True)))
        forms = (
            rf"({dish})(, which)? (was|were) ({opinion})\b",
            rf"\b({opinion}) ({dish})",
            rf"found the ({dish}) ({opinion})",
            rf"and the ({dish}) ({opinion})",
        )
        if any(re.search(form, text) for form in forms):
            return label
    return "not judged"


def found_in(text):
    """Its dishes and its opinions; of "far from perfect" the whole, and not perfect too."""
    text, opinions = text.lower(), []
    for opinion in sorted([*GOOD, *BAD], key=len, reverse=True):
        if opinion in text:
            opinions.append(opinion)
            text = text.replace(opinion, "…")
    return [dish for dish in DISH_NAMES if re.search(rf"\b{dish}\b", text)], opinions


@pytest.mark.parametrize("split", SIZES)
def test_the_label_is_what_is_said_of_the_food(split):
    for text, label in load(split):
        assert said_of_the_food(text) == LABELS[label], text


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_test_has_new_combinations_of_known_words(seed):
    splits = {name: load(name, seed) for name in SIZES}
    assert {name: len(remarks) for name, remarks in splits.items()} == SIZES
    words = {name: {word for text, _ in each for word in re.findall(r"[\w-]+", text.lower())}
             for name, each in splits.items()}  # fmt: skip
    assert words["test"] <= words["train"]
    held_out = restaurant_remarks.held_out_combinations(seed)
    for name, remarks in splits.items():
        for text, _ in remarks:
            dishes, opinions = found_in(text)
            holds = any((dish, opinion) in held_out for dish in dishes for opinion in opinions)
            assert holds == (name == "test"), text


def test_there_are_as_many_of_each_label_and_no_remark_stands_twice():
    texts = []
    for split, size in SIZES.items():
        remarks = load(split)
        assert set(Counter(remark.label for remark in remarks).values()) == {size // 3}
        texts += [remark.text for remark in remarks]
    assert len(set(texts)) == len(texts)


def test_no_single_word_gives_the_label_away():
    """A word that occurs often stands with each label, or at most with two of them in equal parts."""
    of_word = {}
    for text, label in load("train"):
        for word in set(re.findall(r"[\w-]+", text.lower())):
            of_word.setdefault(word, Counter())[label] += 1
    for opinion in (*ADJECTIVES["good"], *ADJECTIVES["bad"]):
        share = of_word[opinion].most_common(1)[0][1] / of_word[opinion].total()
        assert share < 0.7, opinion
    for noun in (*DISH_NAMES, *(name for names in OTHERS.values() for name in names)):
        assert of_word[noun].most_common(1)[0][1] / of_word[noun].total() < 0.6, noun


def test_the_same_seed_gives_the_same_list_and_another_one_another():
    assert load("train", 3) == load("train", 3) != load("train", 4)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        load("dev")
