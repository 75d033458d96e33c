"""The sentences of the built-in corpus make sense: one test for each kind of nonsense that was once found in them."""

import random

import pytest

from clearformer.data.tiny_translation import sampling, words
from clearformer.data.tiny_translation.sentences import (
    NounPhrase,
    Question,
    Report,
    Statement,
    Subordination,
    clauses,
    noun_phrases,
)
from clearformer.data.tiny_translation.words import BE, NOUNS, VERBS

MANY = 12_000
POSSIBLE = set(sampling.possible_combinations())


@pytest.fixture(scope="module")
def sentences():
    draw = random.Random("sentences that make sense")
    return [sampling.sentence(draw) for _ in range(MANY)]


@pytest.fixture(scope="module")
def all_clauses(sentences):
    return [clause for sentence in sentences for clause in clauses(sentence)]


def fronted_place(sentence):
    front = sentence.fronted if isinstance(sentence, Statement) else None
    return getattr(front, "noun_phrase", None)


def phrases(sentence):
    """Every noun phrase of a sentence, wherever it stands."""
    found = [phrase for clause in clauses(sentence) for phrase in noun_phrases(clause)]
    return [*found, fronted_place(sentence)] if fronted_place(sentence) else found


def with_places(sentence):
    """(clause, the noun phrase that says where it happens) of each clause that says so."""
    found = [(clause, clause.place.noun_phrase) for clause in clauses(sentence) if clause.place]
    return [*found, (sentence.clause, fronted_place(sentence))] if fronted_place(sentence) else found


def is_alone(subject):
    return subject.person != "plural"


@pytest.mark.parametrize(
    "combination",
    [
        ("adjective", "schwer", "Ring"),
        ("adjective", "schwer", "Blume"),
        ("adjective", "teuer", "Brief"),
        ("adjective", "golden", "Korb"),
        ("adjective", "rot", "Zeitung"),
        ("adjective", "neu", "Wald"),
        ("adjective", "neu", "Höhle"),
        ("adjective", "lang", "Zeitung"),
        ("adjective", "jung", "Junge"),
        ("adjective", "jung", "Großmutter"),
        ("adjective", "alt", "Kind"),
        ("adjective", "heiß", "Apfel"),
        ("adjective", "hungrig", "Suppe"),
        ("object", "schreiben", "Zeitung"),
        ("object", "zeigen", "Geschichte"),
        ("object", "verstecken", "Suppe"),
        ("object", "essen", "Hund"),
        ("object", "fressen", "Katze"),
        ("object", "aufmachen", "Apfel"),
        ("subject", "Pferd", "fliegen"),
        ("subject", "Tür", "schlafen"),
    ],
)
def test_no_sentence_can_say_what_makes_no_sense(combination):
    _, first, second = combination
    names = {it.german for it in [*NOUNS, *words.ADJECTIVES]} | {verb.infinitive for verb in VERBS}
    assert {first, second} <= names
    assert combination not in POSSIBLE


def test_a_tree_is_tall_and_a_mountain_is_high():
    fitting = {
        adjective.english: {noun.english for noun in NOUNS if noun.kinds & adjective.kinds}
        for adjective in words.ADJECTIVES
        if adjective.german == "hoch"
    }
    assert fitting == {"tall": {"tree", "tower"}, "high": {"mountain", "bridge", "roof"}}


def test_nobody_is_two_opposite_things_at_once(sentences):
    described = 0
    for sentence in sentences:
        for clause in clauses(sentence):
            for phrase in noun_phrases(clause):
                said = [phrase.adjective, phrase.relative.predicate if phrase.relative else None]
                said.append(clause.predicate if phrase is clause.subject else None)
                names = [adjective.english for adjective in said if adjective]
                assert len(names) == len(set(names)), names
                assert not any(len(row & set(names)) > 1 for row in words.OPPOSITES), names
                described += len(names) > 1
    assert described > 100


def test_what_always_lasts_is_not_said_of_a_time_and_nobody_has_to(all_clauses):
    lasting = [clause for clause in all_clauses if clause.verb.lasting]
    assert {clause.verb.infinitive for clause in lasting} == {"wohnen", "lieben", "kennen", "vertrauen"}
    assert not any(clause.time or clause.frequency or clause.modal for clause in lasting)


def test_what_always_lasts_stands_neither_after_a_time_nor_beside_another_clause_in_time(sentences):
    dependent = [it for it in sentences if isinstance(it, Subordination)]
    timed = [it for it in sentences if isinstance(it, Statement) and isinstance(it.fronted, words.Phrase)]
    assert len(dependent) > 500 and len(timed) > 500
    for sentence in dependent + timed:
        assert not any(clause.verb.lasting for clause in clauses(sentence))


def test_nothing_happens_before_somebody_is_like_something(sentences):
    before = [it for it in sentences if isinstance(it, Subordination) and it.conjunction is words.BEFORE]
    assert len(before) > 100
    assert not any(sentence.dependent.verb is BE for sentence in before)


@pytest.mark.parametrize("verb", ["verlieren", "einschlafen", "aufwachen", "träumen"])
def test_nobody_has_to_do_what_one_cannot_do_on_purpose(verb, all_clauses):
    found = [clause for clause in all_clauses if clause.verb.infinitive == verb]
    assert len(found) > 50 and not any(clause.modal for clause in found)


def test_who_is_alone_is_in_one_place_and_goes_into_one(sentences):
    checked = 0
    for sentence in sentences:
        places = with_places(sentence)
        for clause in clauses(sentence):
            if clause.motion and not clause.motion.preposition.several:
                places.append((clause, clause.motion.noun_phrase))
        for clause, place in places:
            if clause.subject is not None and is_alone(clause.subject):
                assert not place.plural
                checked += 1
    assert checked > 1000


def test_two_never_share_a_chair(sentences):
    several = 0
    for sentence in sentences:
        for clause, place in with_places(sentence):
            if clause.subject is not None and not is_alone(clause.subject):
                assert place.noun.german != "Stuhl"
                several += 1
    assert several > 500


def test_each_puts_on_one_hat(all_clauses):
    wearing = [it for it in all_clauses if it.verb.infinitive == "aufsetzen" and it.object and it.subject]
    assert len(wearing) > 50
    for clause in wearing:
        assert is_alone(clause.subject) != clause.object.plural
        assert clause.object.determiner not in (words.TWO, words.THREE, words.MANY)


def test_things_are_done_where_they_can_be_done(sentences):
    seen = set()
    for sentence in sentences:
        for clause, place in with_places(sentence):
            assert clause.verb.places & place.noun.kinds
            seen.add((clause.verb.infinitive, place.noun.german))
    assert {place for verb, place in seen if verb == "wohnen"} <= {
        "Wald", "Höhle", "Haus", "Schloss", "Turm", "Dorf", "Mühle", "Berg", "See", "Fluss"}  # fmt: skip
    assert {place for verb, place in seen if verb in ("kochen", "backen")} == {"Küche"}
    on_furniture = {verb for verb, place in seen if place in ("Stuhl", "Tisch", "Bett")}
    assert not on_furniture & {"besuchen", "abholen", "danken", "stehen"}
    assert ("schlafen", "Bett") in seen and ("sitzen", "Stuhl") in seen


def test_who_sleeps_does_nothing_else_meanwhile(sentences):
    asleep = {"schlafen", "einschlafen", "träumen", "aufwachen", "aufstehen"}
    relative = 0
    for sentence in sentences:
        for clause in clauses(sentence):
            about = clause.subject.relative if isinstance(clause.subject, NounPhrase) else None
            if about:
                assert about.verb.infinitive not in asleep
                assert about.verb is BE or about.verb is not clause.verb
                relative += 1
    assert relative > 200


def test_only_what_can_be_somebodys_has_an_owner(sentences):
    owned = {
        phrase.noun.english
        for sentence in sentences
        for phrase in phrases(sentence)
        if phrase.determiner in words.POSSESSIVES
    }
    assert owned == {noun.english for noun in NOUNS if "own" in noun.kinds}
    assert not owned & {"king", "witch", "man", "woman", "girl", "boy", "forest", "mountain", "lake", "bed"}


def test_an_indefinite_subject_never_stands_before_a_time(sentences):
    """`Heute kommt ein Mann` and `der Mann kommt heute`; after the verb, `ein Mann heute` would be out of order."""
    turned = [it for it in sentences if isinstance(it, Question) or (isinstance(it, Statement) and it.fronted)]
    checked = 0
    for sentence in turned:
        if sentence.clause.time or sentence.clause.frequency:
            subject = sentence.clause.subject
            assert not isinstance(subject, NounPhrase) or subject.determiner.definite
            checked += 1
    assert checked > 100


def test_animals_and_people_are_those_who_act(sentences):
    for sentence in sentences:
        speakers = [sentence.speaker] if isinstance(sentence, Report) else []
        actors = [clause.subject for clause in clauses(sentence) if clause.verb is not BE]
        for actor in speakers + actors:
            assert not isinstance(actor, NounPhrase) or actor.noun.kinds & {"person", "animal"}
