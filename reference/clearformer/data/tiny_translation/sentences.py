"""What a sentence is made of, in neither language: `german` and `english` put it into words."""

from __future__ import annotations

from dataclasses import dataclass

from clearformer.data.tiny_translation.words import (
    Adjective,
    Determiner,
    Modal,
    Noun,
    Phrase,
    Preposition,
    Pronoun,
    Verb,
)


@dataclass(frozen=True)
class NounPhrase:
    """relative: a clause about the noun, which is that clause's subject: the king who sleeps."""

    determiner: Determiner
    noun: Noun
    plural: bool = False
    adjective: Adjective | None = None
    relative: Clause | None = None

    @property
    def person(self):
        return "plural" if self.plural else "third"


@dataclass(frozen=True)
class PrepositionalPhrase:
    preposition: Preposition
    noun_phrase: NounPhrase


@dataclass(frozen=True)
class Clause:
    """Who does what to whom, with whom, where, where to and when. predicate: with the verb to be.

    subject is None in a relative clause, where the noun before it is the subject, and where one asks who.
    """

    subject: NounPhrase | Pronoun | None
    verb: Verb
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    companion: PrepositionalPhrase | None = None
    place: PrepositionalPhrase | None = None
    motion: PrepositionalPhrase | None = None
    predicate: Adjective | None = None
    modal: Modal | None = None
    frequency: Phrase | None = None
    time: Phrase | None = None


@dataclass(frozen=True)
class Statement:
    """fronted: the time or place that comes first and is not among the clause's parts; None for the subject."""

    clause: Clause
    fronted: Phrase | PrepositionalPhrase | None = None


@dataclass(frozen=True)
class Question:
    """word: why or where; None where the answer is yes or no."""

    clause: Clause
    word: Phrase | None = None


@dataclass(frozen=True)
class WhoQuestion:
    """The clause has no subject: that is what is asked for."""

    clause: Clause


@dataclass(frozen=True)
class WhatQuestion:
    """The clause has no object: that is what is asked for."""

    clause: Clause


@dataclass(frozen=True)
class Subordination:
    """A main clause and one that depends on it, which may come first."""

    main: Clause
    conjunction: Phrase
    dependent: Clause
    dependent_first: bool = False


@dataclass(frozen=True)
class Report:
    """Somebody knows, says or asks something."""

    speaker: NounPhrase | Pronoun
    verb: Verb
    conjunction: Phrase
    content: Clause


@dataclass(frozen=True)
class Coordination:
    first: Clause
    conjunction: Phrase
    second: Clause


def clauses(sentence):
    """Every clause of a sentence, relative ones too."""
    found = [part for part in vars(sentence).values() if isinstance(part, Clause)]
    if isinstance(sentence, Report):
        found.append(Clause(sentence.speaker, sentence.verb))
    for clause in list(found):
        for noun_phrase in noun_phrases(clause):
            if noun_phrase.relative:
                found.append(noun_phrase.relative)
    return found


def noun_phrases(clause):
    """Every noun phrase that stands in a clause itself."""
    parts = [part for part in vars(clause).values() if part is not None]
    parts = [part.noun_phrase if isinstance(part, PrepositionalPhrase) else part for part in parts]
    return [part for part in parts if isinstance(part, NounPhrase)]


def combinations(sentence):
    """The pairs of words that make this sentence what it is: a frozenset of (kind, German word, German word).

    Kinds: "adjective" (with its noun, before it or after to be), "subject" (with its verb), "object" (with its verb).
    """
    pairs, named = set(), []
    if isinstance(sentence, Statement) and isinstance(sentence.fronted, PrepositionalPhrase):
        named.append(sentence.fronted.noun_phrase)
    for clause in clauses(sentence):
        named += noun_phrases(clause)
        if clause.object:
            pairs.add(("object", clause.verb.infinitive, clause.object.noun.german))
        if isinstance(clause.subject, NounPhrase):
            pairs |= _about(clause.subject.noun.german, clause)
    for noun_phrase in named:
        noun = noun_phrase.noun.german
        if noun_phrase.adjective:
            pairs.add(("adjective", noun_phrase.adjective.german, noun))
        if noun_phrase.relative:
            pairs |= _about(noun, noun_phrase.relative)
    return frozenset(pairs)


def _about(noun, clause):
    if clause.predicate:
        return {("adjective", clause.predicate.german, noun)}
    return {("subject", noun, clause.verb.infinitive)}
