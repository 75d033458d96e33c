"""Many little tasks in one form: a rule on the digits 0 to 9, told by examples alone.

    3 → 4   7 → 8   1 → ?          the rule is "one more", with 0 after 9

A model that has learned many rules has to find out from the examples which one is meant.
"""

from collections.abc import Callable

import numpy as np

DIGITS = np.arange(10)
_RULES: dict[str, Callable] = {
    "the same": lambda x: x,
    "one more": lambda x: x + 1,
    "two more": lambda x: x + 2,
    "one less": lambda x: x - 1,
    "five more": lambda x: x + 5,
    "9 minus it": lambda x: 9 - x,
    "10 minus it": lambda x: 10 - x,
    "twice": lambda x: 2 * x,
    "three times": lambda x: 3 * x,
    "seven times": lambda x: 7 * x,
    "squared": lambda x: x * x,
    "half, rounded down": lambda x: x // 2,
    "at least 5": lambda x: np.maximum(x, 5),
    "at most 5": lambda x: np.minimum(x, 5),
    "odd or even": lambda x: x % 2,
    "distance from 5": lambda x: abs(x - 5),
}
_UNSEEN: dict[str, Callable] = {
    "four more": lambda x: x + 4,
    "8 minus it": lambda x: 8 - x,
    "nine times, one more": lambda x: 9 * x + 1,
    "at least 3": lambda x: np.maximum(x, 3),
}


def _tables(rules):
    return {name: tuple(int(value) for value in rule(DIGITS) % 10) for name, rule in rules.items()}


RULES = _tables(_RULES)  # {name: (answer for 0, …, answer for 9)}; only the last digit of an answer counts
UNSEEN = _tables(_UNSEEN)  # rules of the same kind that no training sees


def draw_prompts(count, rng, rules=RULES, length=8):
    """Token ids (count, 2 · length), int64: question, answer, question, answer, … of one rule in each row.

    A row's rule is one of `rules` at random; its questions are all different. rng: a numpy Generator.
    """
    tables = np.array([*rules.values()])
    questions = rng.permuted(np.tile(DIGITS, (count, 1)), axis=1)[:, :length]
    answers = tables[rng.integers(len(tables), size=(count, 1)), questions]
    return np.stack([questions, answers], axis=2).reshape(count, 2 * length)


def best_possible(prompts, rules=RULES):
    """Accuracy, by the number of examples seen, of somebody who knows the rules and reasons without a mistake.

    prompts as draw_prompts gives them, of these rules. Each rule that fits all examples so far is equally likely; the
    answer that most of them give is right that often. Returns a list, from no example on.
    """
    tables = np.array([*rules.values()])
    questions, answers = prompts[:, 0::2], prompts[:, 1::2]
    said = tables[:, questions].transpose(1, 2, 0)  # (prompts, places, rules)
    fits = np.ones((len(prompts), len(tables)), dtype=bool)
    found = []
    for place in range(questions.shape[1]):
        votes = np.stack([((said[:, place] == digit) & fits).sum(axis=1) for digit in DIGITS], axis=1)
        found.append(float((votes.max(axis=1) / fits.sum(axis=1)).mean()))
        fits &= said[:, place] == answers[:, [place]]
    return found
