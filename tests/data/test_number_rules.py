"""Rules on digits: prompts hold what they say, and the best possible is counted by hand and by trying."""

import numpy as np
import pytest

from clearformer.data.number_rules import RULES, UNSEEN, best_possible, draw_prompts


def test_rules_are_what_their_names_say():
    assert RULES["one more"] == (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)
    assert RULES["half, rounded down"] == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert RULES["squared"] == (0, 1, 4, 9, 6, 5, 6, 9, 4, 1)
    assert UNSEEN["8 minus it"] == (8, 7, 6, 5, 4, 3, 2, 1, 0, 9)


def test_no_two_rules_are_the_same_and_none_is_unseen():
    tables = [*RULES.values(), *UNSEEN.values()]
    assert len(set(tables)) == len(tables) == 20
    assert all(len(table) == 10 and set(table) <= set(range(10)) for table in tables)


def test_each_prompt_follows_one_rule_with_different_questions():
    prompts = draw_prompts(500, np.random.default_rng(0))
    questions, answers = prompts[:, 0::2], prompts[:, 1::2]
    assert prompts.shape == (500, 16) and prompts.dtype == np.int64
    assert all(len(set(row)) == 8 for row in questions.tolist())
    for row in range(500):
        assert any((np.array(table)[questions[row]] == answers[row]).all() for table in RULES.values())


def test_every_rule_and_every_question_is_drawn_alike():
    prompts = draw_prompts(8000, np.random.default_rng(0), {"a": (0,) * 10, "b": (1,) * 10})
    assert abs((prompts[:, 1] == 0).mean() - 0.5) < 0.03
    assert np.abs(np.bincount(prompts[:, 0], minlength=10) / 8000 - 0.1).max() < 0.02
    assert (draw_prompts(5, np.random.default_rng(3)) == draw_prompts(5, np.random.default_rng(3))).all()


def test_the_best_possible_of_two_rules_by_hand():
    rules = {"same": tuple(range(10)), "at least 5": tuple(max(digit, 5) for digit in range(10))}
    assert best_possible(np.array([[7, 7, 2, 2, 3, 3]]), rules) == [1.0, 0.5, 1.0]


def test_nobody_who_knows_the_rules_does_better():
    """Draw the true rule again and again, and answer as the votes say: right as often as promised."""
    prompts = draw_prompts(4000, np.random.default_rng(1))
    tables, right = np.array([*RULES.values()]), np.zeros(3)
    for row in prompts:
        for place in range(3):
            fits = [
                t
                for t in tables
                if all(t[q] == a for q, a in zip(row[: 2 * place : 2], row[1 : 2 * place : 2], strict=True))
            ]
            votes = np.bincount([table[row[2 * place]] for table in fits])
            right[place] += votes.argmax() == row[2 * place + 1]
    assert right / 4000 == pytest.approx(best_possible(prompts)[:3], abs=0.03)
