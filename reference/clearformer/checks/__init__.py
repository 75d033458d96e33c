"""Exercises and what is made from them: feedback in the notebook, the grade, the tests, the catalogue.

`check(answer)` and `hint(name)` are what a notebook uses.
"""

from __future__ import annotations

from clearformer.checks import catalogue
from clearformer.checks.answer import InProcessAnswer
from clearformer.checks.feedback import CheckFailed, CheckReport, message
from clearformer.checks.judge import SEED, judge

__all__ = ["check", "hint", "judge_here"]

_hints_given: dict[str, int] = {}


def judge_here(exercise, target, seed=SEED):
    """The verdict on `target`, an object of this process, as a learner's answer to `exercise`."""
    answer = InProcessAnswer(target, exercise.forbidden, catalogue.modules_not_yet_built(exercise.lesson))
    return judge(exercise, answer, seed)


def check(answer, name=None):
    """Check your answer: ``check(softmax)``, or ``check(my_number, "my_number")`` for a prediction.

    Shows a table of what was checked. Raises CheckFailed, whose text is the feedback, where it does not
    pass; a pass is remembered (see ``clearformer list``).
    """
    exercise = catalogue.find(_name_of(answer, name))
    verdict = judge_here(exercise, answer)
    _show(CheckReport(exercise, verdict))
    if verdict.status != "passed":
        raise CheckFailed(message(exercise, verdict, next_hint=True))
    from clearformer.checks import progress

    if notice := progress.record(exercise.name):
        print(notice)


def _name_of(answer, name):
    if name is not None:
        return name
    if isinstance(answer, str):
        raise CheckFailed(f"check takes your function, not its name: write check({answer}), without quotes.")
    found = getattr(answer, "__name__", None)
    if found is None:
        raise CheckFailed('check needs the exercise\'s name for this: check(value, "name of the exercise").')
    return found


def _show(report):
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(report)
        return
    display(report) if get_ipython() else print(report)


def hint(exercise):
    """The next of three hints: ``hint("softmax")``. After the third, all three again."""
    found = catalogue.find(exercise if isinstance(exercise, str) else exercise.__name__)
    given = _hints_given.get(found.name, 0)
    _hints_given[found.name] = given + 1
    total = len(found.hints)
    shown = range(total) if given >= total else [given]
    print("\n".join(f"Hint {i + 1} of {total}: {found.hints[i]}" for i in shown))
