"""Sentences drawn at random, such that each makes sense and has one right translation."""

from dataclasses import replace
from functools import cache

from clearformer.data.tiny_translation import words
from clearformer.data.tiny_translation.sentences import (
    Clause,
    Coordination,
    NounPhrase,
    PrepositionalPhrase,
    Question,
    Report,
    Statement,
    Subordination,
    WhatQuestion,
    WhoQuestion,
    noun_phrases,
)
from clearformer.data.tiny_translation.words import BE, NOUNS, VERBS

PEOPLE = frozenset({"person", "grown"})  # whom a pronoun stands for
BEINGS = frozenset({"person", "animal"})
CHANGING = frozenset({"cooked", "dark", "quiet", "water"})  # what is hot or cold, dark or quiet, for a time
DESCRIBED = frozenset({"thing", "food", "place", "plain", "nature", "readable"})
THINGS = frozenset({"thing", "readable", "food"})


def sentence(random):
    """A sentence of a kind drawn at random. random: a random.Random."""
    kinds, weights = zip(*_KINDS, strict=True)
    return random.choices(kinds, weights)[0](random)


def _statement(random):
    return Statement(_clause(random))


def _relative(random):
    noun_phrase = _being(random, pronouns=False)
    about = _way(random, noun_phrase, {noun_phrase.noun}, [it for it in _verbs(noun_phrase) if it.about_whom])
    subject = replace(noun_phrase, relative=replace(about, subject=None))
    other_verbs = [verb for verb in _verbs(subject) if verb is not about.verb]
    return Statement(_way(random, subject, {noun_phrase.noun, *_nouns(about)}, other_verbs))


def _way(random, subject, used, verbs):
    """What somebody is like or does: a short clause with one of these verbs."""
    if random.random() < DESCRIPTIONS:
        return _description(random, subject, used)
    return _clause(random, subject, random.choice(verbs), used, short=True)


def _time_first(random):
    clause = _clause(random, adverbs=False, passing=True)
    return Statement(clause, random.choice([*words.TIMES, words.SOMETIMES]))


def _place_first(random):
    verb = random.choice([verb for verb in VERBS if _places(verb)])
    clause = _clause(random, verb=verb, places=False)
    place = _place(random, _nouns(clause), _places(verb), clause.subject)
    return Statement(_subject_early(clause), place)


def _question(random):
    return Question(_subject_early(_clause(random)))


def _why(random):
    return Question(_clause(random, adverbs=False), words.WHY)


def _where(random):
    verb = random.choice([verb for verb in VERBS if _places(verb)])
    return Question(_subject_early(_clause(random, verb=verb, places=False)), words.WHERE)


def _subject_early(clause):
    """The clause in a sentence where the subject follows the verb.

    There German puts an indefinite subject behind what is said of time, so nothing is said of it.
    """
    if isinstance(clause.subject, NounPhrase) and not clause.subject.determiner.definite:
        return replace(clause, time=None, frequency=None)
    return clause


def _who(random):
    about = _clause(random, subject=NounPhrase(words.THE, _noun_of(random, {"person"})), used=set())
    return WhoQuestion(replace(about, subject=None))


def _what(random):
    verbs = [verb for verb in VERBS if verb.objects & THINGS and not verb.motions]
    about = _clause(random, verb=random.choice(verbs), adverbs=False)
    return WhatQuestion(replace(about, object=None))


def _subordination(random):
    main = _clause(random, short=True, passing=True)
    conjunction = random.choice(words.CONJUNCTIONS)
    happens = conjunction is words.BEFORE  # what is only so has no beginning to be before
    dependent = _clause(random, used=_nouns(main), short=True, passing=True, happens=happens)
    return Subordination(main, conjunction, dependent, random.random() < 0.4)


def _report(random):
    verb, conjunction = random.choice(words.REPORTS)
    speaker = _being(random)
    used = {speaker.noun} if isinstance(speaker, NounPhrase) else set()
    return Report(speaker, verb, conjunction, _clause(random, used=used, short=True))


def _coordination(random):
    first = _clause(random, short=True)
    second = _clause(random, used=_nouns(first), short=True)
    return Coordination(first, random.choice(words.COORDINATIONS), second)


_KINDS = [
    (_statement, 34),
    (_time_first, 10),
    (_place_first, 8),
    (_question, 7),
    (_why, 3),
    (_where, 3),
    (_who, 3),
    (_what, 3),
    (_relative, 7),
    (_subordination, 12),
    (_report, 5),
    (_coordination, 5),
]


# --- clauses -------------------------------------------------------------------------------------------------

DESCRIPTIONS = 0.13  # of the clauses say what somebody or something is like


def _clause(
    random, subject=None, verb=None, used=(), short=False, places=True, adverbs=True, passing=False, happens=False
):
    """A clause without the nouns in used.

    short: no adverbs, and seldom a place. places, adverbs: may it have any. passing: nothing that is always so.
    happens: somebody does something.
    """
    used = set(used)
    if verb is None and not happens and random.random() < DESCRIPTIONS:
        return _description(random, subject, used, passing, adverbs and not short)
    if verb is None:
        verb = random.choice([verb for verb in _verbs(subject, places) if not (passing and verb.lasting)])
    actor = subject or _being(random, used, verb.subjects)
    if isinstance(actor, NounPhrase):
        used.add(actor.noun)
    return _action(random, actor, verb, used, short, places, adverbs)


def _verbs(subject, places=True):
    """The verbs that a subject can have, or all; without places only those that can do without."""
    possible = VERBS if subject is None else [verb for verb in VERBS if _kinds(subject) & verb.subjects]
    return possible if places else [verb for verb in possible if not verb.needs_place and not verb.motions]


def _action(random, subject, verb, used, short, places, adverbs):
    parts = {}
    if verb.objects:
        parts["object"] = _object(random, verb, used, subject)
    if verb.gives:
        known = parts["object"].determiner.definite
        parts["recipient"] = _noun_phrase(random, _noun_of(random, BEINGS, used), known=known)
        used.add(parts["recipient"].noun)
    if verb.company and random.random() < 0.6:
        companion = _noun_phrase(random, _noun_of(random, BEINGS, used))
        parts["companion"] = PrepositionalPhrase(words.WITH, companion)
        used.add(companion.noun)
    if verb.motions:
        parts["motion"] = _motion(random, verb, used, subject)
    elif places and _places(verb) and (verb.needs_place or random.random() < (0.15 if short else 0.45)):
        parts["place"] = _place(random, used, _places(verb), subject)
    if verb.lasting:
        return Clause(subject, verb, **parts)
    if verb.wanted and random.random() < 0.15:
        parts["modal"] = random.choice(words.MODALS)
    elif adverbs and not short and not verb.gives and random.random() < 0.4:
        if random.random() < 0.5:
            parts["frequency"] = random.choice(words.FREQUENCIES)
        else:
            parts["time"] = random.choice(words.TIMES)
    return Clause(subject, verb, **parts)


def _description(random, subject, used=(), passing=False, adverbs=False):
    """Something is like this: the soup is hot."""
    if subject is None and random.random() < 0.5:
        kinds = CHANGING if passing else DESCRIBED
        subject = _noun_phrase(random, _noun_of(random, kinds, used), known=True, bare=True)
    subject = subject or _being(random, used)
    said = _said(subject)
    fitting = [adjective for adjective in _adjectives(_kinds(subject)) if not _excluded(adjective, said)]
    only_passing = [adjective for adjective in fitting if adjective.passing]
    predicate = random.choice(only_passing or fitting if passing else fitting)
    often = adverbs and predicate.passing and random.random() < 0.3
    return Clause(subject, BE, predicate=predicate, frequency=random.choice(words.FREQUENCIES) if often else None)


def _said(subject):
    """The English adjectives that a noun phrase has already."""
    if not isinstance(subject, NounPhrase):
        return set()
    found = {subject.adjective, subject.relative.predicate if subject.relative else None}
    return {adjective.english for adjective in found if adjective}


def _excluded(adjective, said):
    """Whether somebody of whom all this is said cannot be like that too, or is so already."""
    opposites = set().union(*(row for row in words.OPPOSITES if adjective.english in row))
    return bool(said & (opposites | {adjective.english}))


def _kinds(subject):
    return subject.noun.kinds if isinstance(subject, NounPhrase) else PEOPLE


def _is_alone(subject):
    return subject.person != "plural"


def _places(verb):
    """The kinds of nouns that can be where it is done."""
    return frozenset() if verb.gives or verb.motions else verb.places


# --- noun phrases --------------------------------------------------------------------------------------------


def _being(random, used=(), kinds=BEINGS, pronouns=True):
    """Somebody who can do things: a noun phrase, or now and then a pronoun, which stands for people."""
    if pronouns and "person" in kinds and random.random() < 0.16:
        return random.choice(words.PRONOUNS)
    return _noun_phrase(random, _noun_of(random, kinds, used))


def _object(random, verb, used, subject):
    noun = _noun_of(random, verb.objects, used)
    used.add(noun)
    if verb.one_each:
        several = not _is_alone(subject)
        return _noun_phrase(random, noun, plural=several, known=several)
    return _noun_phrase(random, noun)


def _noun_of(random, kinds, used=()):
    return random.choice([noun for noun in _nouns_of(frozenset(kinds)) if noun not in used])


def _noun_phrase(random, noun, known=False, bare=False, place=False, plural=None):
    """known: with a definite determiner. bare: without an adjective. place: more often with `the`, seldom in the
    plural. plural: None to draw it."""
    if plural is None:
        plural = random.random() < (0.1 if place else 0.22)
    possible = [word for word in words.DETERMINERS if _goes_with(word, noun, plural) and (word.definite or not known)]
    weights = [_DETERMINER_WEIGHTS[word.german] * (2 if place and word is words.THE else 1) for word in possible]
    adjective = random.choice(_adjectives(noun.kinds)) if not bare and random.random() < 0.45 else None
    return NounPhrase(random.choices(possible, weights)[0], noun, plural, adjective)


def _goes_with(determiner, noun, plural):
    return bool(determiner.english[plural]) and ("own" in noun.kinds or determiner not in words.POSSESSIVES)


_DETERMINER_WEIGHTS = {"d": 10, "ein": 5, "dies": 1, "mein": 2, "sein": 1, "ihr": 1, "zwei": 2, "drei": 2, "viel": 2}


def _place(random, used, kinds, subject):
    """Somewhere of these kinds, where there is room; who is alone is in one place. None where all are in used."""
    alone = _is_alone(subject)
    fitting = {noun for noun in NOUNS if noun.kinds & kinds and (alone or "for_one" not in noun.kinds)} - set(used)
    prepositions = [it for it in words.PLACES if fitting & set(_nouns_of(frozenset({it.kind})))]
    if not prepositions:
        return None
    preposition = random.choice(prepositions)
    nouns = [noun for noun in _nouns_of(frozenset({preposition.kind})) if noun in fitting]
    return _prepositional_phrase(random, preposition, nouns, used, plural=False if alone else None)


def _motion(random, verb, used, subject):
    preposition = random.choice([it for it in words.MOTIONS if it.kind in verb.motions])
    nouns = [noun for noun in _nouns_of(frozenset({preposition.kind})) if noun not in used]
    one = _is_alone(subject) and not preposition.several
    return _prepositional_phrase(random, preposition, nouns, used, plural=False if one else None)


def _prepositional_phrase(random, preposition, nouns, used, plural=None):
    noun = random.choice(nouns)
    used.add(noun)
    return PrepositionalPhrase(preposition, _noun_phrase(random, noun, place=True, plural=plural))


def _nouns(clause):
    return {noun_phrase.noun for noun_phrase in noun_phrases(clause)}


@cache
def _nouns_of(kinds):
    return [noun for noun in NOUNS if noun.kinds & kinds]


@cache
def _adjectives(kinds):
    return [adjective for adjective in words.ADJECTIVES if adjective.kinds & kinds]


def possible_combinations():
    """All combinations that sentences can have, sorted: see sentences.combinations."""
    verbs = [*VERBS, *(verb for verb, _ in words.REPORTS)]
    nouns = [(noun, noun.german) for noun in NOUNS]
    found = {("adjective", adjective.german, name) for noun, name in nouns for adjective in _adjectives(noun.kinds)}
    found |= {
        ("subject", name, verb.infinitive) for noun, name in nouns for verb in verbs if noun.kinds & verb.subjects
    }
    found |= {("object", verb.infinitive, name) for noun, name in nouns for verb in verbs if noun.kinds & verb.objects}
    return sorted(found)
