"""English: forms of words, and where they stand."""

from clearformer.data.tiny_translation.sentences import (
    Coordination,
    PrepositionalPhrase,
    Question,
    Report,
    Statement,
    Subordination,
    WhatQuestion,
    WhoQuestion,
)
from clearformer.data.tiny_translation.words import BE, Pronoun


def noun_phrase(phrase):
    noun = phrase.noun.english_plural if phrase.plural else phrase.noun.english
    words = [phrase.adjective.english, noun] if phrase.adjective else [noun]
    determiner = phrase.determiner.english[phrase.plural]
    if determiner == "a" and words[0][0] in "aeiou":
        determiner = "an"
    words = [determiner, *words]
    if phrase.relative:
        words += ["who" if "person" in phrase.noun.kinds else "that", *_predicate(phrase.relative, phrase.person)]
    return words


def prepositional_phrase(phrase):
    return [*phrase.preposition.english.split(), *noun_phrase(phrase.noun_phrase)]


def finite(verb, person):
    """The form of a verb, or of a modal verb, for "first" (I), "third" (he, she, it) or "plural" (we, they)."""
    if verb is BE and person == "first":
        return ["am"]
    return verb.english[person == "third"].split()


def clause(it):
    """The words of a clause in the order of a statement."""
    return [*_phrase(it.subject), *_predicate(it, it.subject.person)]


def _predicate(it, person):
    """All but the subject."""
    if it.verb is BE:
        return [*finite(BE, person), *_fixed(it.frequency), *_rest(it)]
    if it.modal:
        return [*finite(it.modal, person), *_fixed(it.frequency), *_base(it.verb), *_rest(it)]
    return [*_fixed(it.frequency), *finite(it.verb, person), *_rest(it)]


def _question(it):
    """The words of a clause in the order of a question, after its question word."""
    person, subject = it.subject.person, _phrase(it.subject)
    if it.verb is BE:
        return [*finite(BE, person), *subject, *_fixed(it.frequency), *_rest(it)]
    if it.modal and not it.modal.helper:
        return [*finite(it.modal, person), *subject, *_fixed(it.frequency), *_base(it.verb), *_rest(it)]
    modal = it.modal.english[0].split() if it.modal else []
    do = "does" if person == "third" else "do"
    return [do, *subject, *_fixed(it.frequency), *modal, *_base(it.verb), *_rest(it)]


def _base(verb):
    return verb.english[0].split()


def _rest(it):
    """What follows the verb: whom, what, with whom, where to, where, when."""
    return [
        *(noun_phrase(it.recipient) if it.recipient else []),
        *(noun_phrase(it.object) if it.object else []),
        *([it.predicate.english] if it.predicate else []),
        *(prepositional_phrase(it.companion) if it.companion else []),
        *(prepositional_phrase(it.motion) if it.motion else []),
        *(prepositional_phrase(it.place) if it.place else []),
        *_fixed(it.time),
    ]


def _fixed(phrase):
    return phrase.english.split() if phrase else []


def _phrase(phrase):
    return [phrase.english] if isinstance(phrase, Pronoun) else noun_phrase(phrase)


def sentence(it):
    """The words of a whole sentence, with its punctuation."""
    match it:
        case Statement(clause=main, fronted=None):
            return [*clause(main), "."]
        case Statement(clause=main, fronted=PrepositionalPhrase() as front):
            return [*prepositional_phrase(front), *clause(main), "."]
        case Statement(clause=main, fronted=front):
            return [*_fixed(front), *clause(main), "."]
        case Question(clause=main, word=word):
            return [*_fixed(word), *_question(main), "?"]
        case WhoQuestion(clause=main):
            return ["who", *_predicate(main, "third"), "?"]
        case WhatQuestion(clause=main):
            return ["what", *_question(main), "?"]
        case Subordination(main=main, conjunction=conjunction, dependent=dependent, dependent_first=first):
            depending = [conjunction.english, *clause(dependent)]
            return [*depending, ",", *clause(main), "."] if first else [*clause(main), *depending, "."]
        case Report(speaker=speaker, verb=verb, conjunction=conjunction, content=content):
            return [*_phrase(speaker), *finite(verb, speaker.person), conjunction.english, *clause(content), "."]
        case Coordination(first=first, conjunction=conjunction, second=second):
            return [*clause(first), ",", conjunction.english, *clause(second), "."]
    raise TypeError(f"not a sentence: {it!r}")
