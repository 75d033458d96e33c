"""German: forms of words, and where they stand.

A German clause is a frame. The finite verb stands second in a statement, first in a question and last in a dependent
clause; the particle of a separable verb, or the infinitive after a modal verb, closes it:

    second   Heute  macht  die Hexe          die Tür  auf .
    first           Macht  die Hexe heute    die Tür  auf ?
    last     weil          die Hexe heute    die Tür  aufmacht
"""

from clearformer.data.tiny_translation.sentences import (
    Clause,
    Coordination,
    PrepositionalPhrase,
    Question,
    Report,
    Statement,
    Subordination,
    WhatQuestion,
    WhoQuestion,
)
from clearformer.data.tiny_translation.words import THE, Pronoun

CASES = ("nominative", "accusative", "dative")
GENDERS = "mfnp"  # masculine, feminine, neuter, and plural, which has no gender

# for each case the endings in the order of GENDERS; - is no ending
DETERMINER_ENDINGS = {
    "the": {"nominative": "er ie as ie", "accusative": "en ie as ie", "dative": "em er em en"},
    "this": {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"},
    "ein": {"nominative": "- e - e", "accusative": "en e - e", "dative": "em er em en"},
    "none": {"nominative": "- - - -", "accusative": "- - - -", "dative": "- - - -"},
}
ADJECTIVE_ENDINGS = {
    "weak": {"nominative": "e e e en", "accusative": "en e e en", "dative": "en en en en"},
    "mixed": {"nominative": "er e es en", "accusative": "en e es en", "dative": "en en en en"},
    "strong": {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"},
}
CONTRACTIONS = {"in dem": "im", "in das": "ins", "zu dem": "zum", "zu der": "zur"}


def _ending(table, case, gender):
    return table[case].split()[GENDERS.index(gender)].strip("-")


def determiner(word, case, gender):
    """For example determiner(THE, "dative", "f"): der. gender: m, f, n, or p for the plural."""
    return word.german + _ending(DETERMINER_ENDINGS[word.endings], case, gender)


def adjective(word, determiner, case, gender):
    """The adjective between a determiner and a noun."""
    return word.stem + _ending(ADJECTIVE_ENDINGS[determiner.adjectives], case, gender)


def noun(word, case, plural=False):
    """The noun in a case. The dative plural ends in -n, unless the plural ends in -n or -s."""
    if plural:
        return word.plural + ("n" if case == "dative" and word.plural[-1] not in "ns" else "")
    return word.plural if word.weak and case != "nominative" else word.german


def noun_phrase(phrase, case):
    """Its words. A relative clause comes with the comma before it and the comma after it."""
    gender = "p" if phrase.plural else phrase.noun.gender
    words = [determiner(phrase.determiner, case, gender)]
    if phrase.adjective:
        words.append(adjective(phrase.adjective, phrase.determiner, case, gender))
    words.append(noun(phrase.noun, case, phrase.plural))
    if phrase.relative:
        pronoun = determiner(THE, "nominative", gender)  # as a relative pronoun it has the article's form
        words += [",", pronoun, *clause(phrase.relative, "last", phrase.person), ","]
    return words


def prepositional_phrase(phrase):
    """Its words; preposition and article in one where German says so: im, ins, zum, zur."""
    first, *rest = noun_phrase(phrase.noun_phrase, phrase.preposition.case)
    start = f"{phrase.preposition.german} {first}"
    return [*CONTRACTIONS.get(start, start).split(), *rest]


def finite(verb, person):
    """The form of a verb or modal verb for "first" (ich), "third" (er, sie, es) or "plural" (wir, sie)."""
    plural, third = verb.german
    return {"first": verb.first, "third": third, "plural": plural}[person]


def clause(it, order, person=None, fronted=None):
    """The words of a clause. order: where the finite verb stands, "second", "first" or "last".

    person: the subject's, where the clause has none. fronted: the words before the verb in a statement, if they are
    not the subject's.
    """
    subject = _phrase(it.subject, "nominative") if it.subject else []
    verb, closing = _verb(it, order, person or it.subject.person)
    middle = _middle(it)
    if order == "second" and fronted is None:
        return [*subject, *verb, *middle, *closing]
    if order == "last":
        return [*subject, *middle, *closing]
    return [*(fronted or []), *verb, *subject, *middle, *closing]


def _verb(it, order, person):
    """The finite verb, and what closes the clause, which in a dependent clause is all of the verb."""
    particle = it.verb.particle
    if it.modal:
        inner, form = [it.verb.infinitive], finite(it.modal, person)
        return ([], [*inner, form]) if order == "last" else ([form], inner)
    form = finite(it.verb, person)
    if order == "last":
        return [], [particle + form]
    return [form], [particle] if particle else []


def _middle(it):
    """Between the verb's two parts: when, whom, what is known, with whom, where, what is new, where to, what like."""
    is_known = it.object is not None and it.object.determiner.definite
    object_words = _phrase(it.object, it.verb.case) if it.object else []
    return [
        *_fixed(it.time),
        *_fixed(it.frequency),
        *(_phrase(it.recipient, "dative") if it.recipient else []),
        *(object_words if is_known else []),
        *(prepositional_phrase(it.companion) if it.companion else []),
        *(prepositional_phrase(it.place) if it.place else []),
        *([] if is_known else object_words),
        *(prepositional_phrase(it.motion) if it.motion else []),
        *([it.predicate.german] if it.predicate else []),
    ]


def _fixed(phrase):
    return phrase.german.split() if phrase else []


def _phrase(phrase, case):
    return [phrase.german] if isinstance(phrase, Pronoun) else noun_phrase(phrase, case)


def sentence(it):
    """The words of a whole sentence, with its punctuation."""
    match it:
        case Statement(clause=Clause() as main, fronted=front):
            return [*clause(main, "second", fronted=_front(front)), "."]
        case Question(clause=main, word=word):
            return [*_fixed(word), *clause(main, "first"), "?"]
        case WhoQuestion(clause=main):
            return ["wer", *clause(main, "second", "third"), "?"]
        case WhatQuestion(clause=main):
            return ["was", *clause(main, "first"), "?"]
        case Subordination(main=main, conjunction=conjunction, dependent=dependent, dependent_first=first):
            depending = [conjunction.german, *clause(dependent, "last")]
            if first:
                return [*depending, ",", *clause(main, "first"), "."]
            return [*clause(main, "second"), ",", *depending, "."]
        case Report(speaker=speaker, verb=verb, conjunction=conjunction, content=content):
            main = [*_phrase(speaker, "nominative"), finite(verb, speaker.person)]
            return [*main, ",", conjunction.german, *clause(content, "last"), "."]
        case Coordination(first=first, conjunction=conjunction, second=second):
            return [*clause(first, "second"), ",", conjunction.german, *clause(second, "second"), "."]
    raise TypeError(f"not a sentence: {it!r}")


def _front(front):
    if front is None:
        return None
    return prepositional_phrase(front) if isinstance(front, PrepositionalPhrase) else _fixed(front)
