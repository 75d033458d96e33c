"""The German of the built-in corpus, against tables and sentences written by hand from the rules of the language."""

from dataclasses import replace

import pytest

from clearformer.data.tiny_translation import english, german, words
from clearformer.data.tiny_translation.corpus import text
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
)

NOUNS = {noun.german: noun for noun in words.NOUNS}
ADJECTIVES = {adjective.german: adjective for adjective in words.ADJECTIVES}
VERBS = {verb.infinitive: verb for verb in words.VERBS}
MODALS = {modal.german[0]: modal for modal in words.MODALS}
PRONOUNS = {pronoun.english: pronoun for pronoun in words.PRONOUNS}
PREPOSITIONS = {(it.english, it.kind): it for it in [*words.PLACES, *words.MOTIONS, words.WITH]}
PHRASES = {it.english: it for it in [*words.TIMES, *words.FREQUENCIES, *words.CONJUNCTIONS, *words.COORDINATIONS]}


def some(determiner, noun, adjective=None, plural=False, relative=None):
    return NounPhrase(determiner, NOUNS[noun], plural, ADJECTIVES[adjective] if adjective else None, relative)


def at(preposition, noun_phrase, kind=None):
    found = [it for (name, its_kind), it in PREPOSITIONS.items() if name == preposition and kind in (None, its_kind)]
    return PrepositionalPhrase(found[0], noun_phrase)


def both(sentence):
    return text(english.sentence(sentence)), text(german.sentence(sentence))


# --- articles and adjectives ---------------------------------------------------------------------------------

# Rows: nominative, accusative, dative. Columns: masculine, feminine, neuter, plural.
PARADIGMS = {
    "der": (
        words.THE,
        """
        der alte Hund     | die alte Katze   | das alte Pferd   | die alten Hunde
        den alten Hund    | die alte Katze   | das alte Pferd   | die alten Hunde
        dem alten Hund    | der alten Katze  | dem alten Pferd  | den alten Hunden
        """,
    ),
    "dieser": (
        words.THIS,
        """
        dieser alte Hund  | diese alte Katze  | dieses alte Pferd  | diese alten Hunde
        diesen alten Hund | diese alte Katze  | dieses alte Pferd  | diese alten Hunde
        diesem alten Hund | dieser alten Katze | diesem alten Pferd | diesen alten Hunden
        """,
    ),
    "ein": (
        words.A,
        """
        ein alter Hund    | eine alte Katze   | ein altes Pferd
        einen alten Hund  | eine alte Katze   | ein altes Pferd
        einem alten Hund  | einer alten Katze | einem alten Pferd
        """,
    ),
    "mein": (
        words.MY,
        """
        mein alter Hund   | meine alte Katze   | mein altes Pferd   | meine alten Hunde
        meinen alten Hund | meine alte Katze   | mein altes Pferd   | meine alten Hunde
        meinem alten Hund | meiner alten Katze | meinem alten Pferd | meinen alten Hunden
        """,
    ),
    "sein": (
        words.HIS,
        """
        sein alter Hund   | seine alte Katze   | sein altes Pferd   | seine alten Hunde
        seinen alten Hund | seine alte Katze   | sein altes Pferd   | seine alten Hunde
        seinem alten Hund | seiner alten Katze | seinem alten Pferd | seinen alten Hunden
        """,
    ),
    "ihr": (
        words.HER,
        """
        ihr alter Hund    | ihre alte Katze   | ihr altes Pferd   | ihre alten Hunde
        ihren alten Hund  | ihre alte Katze   | ihr altes Pferd   | ihre alten Hunde
        ihrem alten Hund  | ihrer alten Katze | ihrem alten Pferd | ihren alten Hunden
        """,
    ),
    "zwei": (words.TWO, "- | - | - | zwei alte Hunde\n- | - | - | zwei alte Hunde\n- | - | - | zwei alten Hunden"),
    "drei": (words.THREE, "- | - | - | drei alte Hunde\n- | - | - | drei alte Hunde\n- | - | - | drei alten Hunden"),
    "viel": (words.MANY, "- | - | - | viele alte Hunde\n- | - | - | viele alte Hunde\n- | - | - | vielen alten Hunden"),
}


def cells(table):
    return [[cell.strip() for cell in row.split("|")] for row in table.strip().splitlines()]


@pytest.mark.parametrize("name", PARADIGMS)
def test_articles_and_adjectives_follow_the_tables(name):
    determiner, table = PARADIGMS[name]
    checked = 0
    for case, row in zip(german.CASES, cells(table), strict=True):
        columns = zip(["Hund", "Katze", "Pferd", "Hund"], [False, False, False, True], row, strict=False)
        for noun, plural, expected in columns:
            if expected != "-":
                assert " ".join(german.noun_phrase(some(determiner, noun, "alt", plural), case)) == expected
                checked += 1
    assert checked in (3, 9, 12)


def test_every_determiner_has_its_table():
    assert set(PARADIGMS) - {"der", "dieser"} | {"d", "dies"} == {word.german for word in words.DETERMINERS}


@pytest.mark.parametrize(
    ("adjective", "noun", "expected"),
    [
        ("dunkel", "Wald", "ein dunkler Wald"),
        ("hoch", "Turm", "ein hoher Turm"),
        ("teuer", "Uhr", "eine teure Uhr"),
        ("müde", "Bär", "ein müder Bär"),
        ("heiß", "Ei", "ein heißes Ei"),
        ("süß", "Kuchen", "ein süßer Kuchen"),
        ("golden", "Krone", "eine goldene Krone"),
    ],
)
def test_adjectives_change_their_stem_before_an_ending(adjective, noun, expected):
    assert " ".join(german.noun_phrase(some(words.A, noun, adjective), "nominative")) == expected


@pytest.mark.parametrize(("adjective", "predicate"), [("dunkel", "dunkel"), ("hoch", "hoch"), ("teuer", "teuer")])
def test_an_adjective_after_to_be_has_no_ending(adjective, predicate):
    noun = next(noun.german for noun in words.NOUNS if noun.kinds & ADJECTIVES[adjective].kinds)
    clause = Clause(some(words.THE, noun, plural=True), words.BE, predicate=ADJECTIVES[adjective])
    assert german.sentence(Statement(clause))[-3:] == ["sind", predicate, "."]


# --- nouns ---------------------------------------------------------------------------------------------------

# nominative, accusative and dative singular with the article; nominative and dative plural with it
NOUN_TABLE = """
der Mann, den Mann, dem Mann; die Männer, den Männern
die Frau, die Frau, der Frau; die Frauen, den Frauen
das Kind, das Kind, dem Kind; die Kinder, den Kindern
das Mädchen, das Mädchen, dem Mädchen; die Mädchen, den Mädchen
der Junge, den Jungen, dem Jungen; die Jungen, den Jungen
der Prinz, den Prinzen, dem Prinzen; die Prinzen, den Prinzen
der Riese, den Riesen, dem Riesen; die Riesen, den Riesen
der Bär, den Bären, dem Bären; die Bären, den Bären
der Drache, den Drachen, dem Drachen; die Drachen, den Drachen
der König, den König, dem König; die Könige, den Königen
die Königin, die Königin, der Königin; die Königinnen, den Königinnen
die Prinzessin, die Prinzessin, der Prinzessin; die Prinzessinnen, den Prinzessinnen
die Großmutter, die Großmutter, der Großmutter; die Großmütter, den Großmüttern
der Zauberer, den Zauberer, dem Zauberer; die Zauberer, den Zauberern
die Maus, die Maus, der Maus; die Mäuse, den Mäusen
der Vogel, den Vogel, dem Vogel; die Vögel, den Vögeln
der Apfel, den Apfel, dem Apfel; die Äpfel, den Äpfeln
der Kuchen, den Kuchen, dem Kuchen; die Kuchen, den Kuchen
das Ei, das Ei, dem Ei; die Eier, den Eiern
das Buch, das Buch, dem Buch; die Bücher, den Büchern
der Schlüssel, den Schlüssel, dem Schlüssel; die Schlüssel, den Schlüsseln
die Uhr, die Uhr, der Uhr; die Uhren, den Uhren
die Tür, die Tür, der Tür; die Türen, den Türen
das Fenster, das Fenster, dem Fenster; die Fenster, den Fenstern
das Haus, das Haus, dem Haus; die Häuser, den Häusern
das Schloss, das Schloss, dem Schloss; die Schlösser, den Schlössern
der Garten, den Garten, dem Garten; die Gärten, den Gärten
der See, den See, dem See; die Seen, den Seen
der Fluss, den Fluss, dem Fluss; die Flüsse, den Flüssen
der Baum, den Baum, dem Baum; die Bäume, den Bäumen
"""


@pytest.mark.parametrize("row", NOUN_TABLE.strip().splitlines())
def test_nouns_follow_the_table(row):
    singular, plural = (part.strip().split(", ") for part in row.split(";"))
    noun = singular[0].split()[1]
    for case, expected in zip(german.CASES, singular, strict=True):
        assert " ".join(german.noun_phrase(some(words.THE, noun), case)) == expected
    for case, expected in zip(("nominative", "dative"), plural, strict=True):
        assert " ".join(german.noun_phrase(some(words.THE, noun, plural=True), case)) == expected
    assert german.noun(NOUNS[noun], "accusative", True) == german.noun(NOUNS[noun], "nominative", True)


# --- verbs ---------------------------------------------------------------------------------------------------

VERB_TABLE = """
ich schlafe | er schläft | wir schlafen
ich laufe | er läuft | wir laufen
ich sehe | er sieht | wir sehen
ich lese | er liest | wir lesen
ich esse | er isst | wir essen
ich fresse | er frisst | wir fressen
ich gebe | er gibt | wir geben
ich helfe | er hilft | wir helfen
ich spreche | er spricht | wir sprechen
ich stehle | er stiehlt | wir stehlen
ich trage | er trägt | wir tragen
ich warte | er wartet | wir warten
ich finde | er findet | wir finden
ich arbeite | er arbeitet | wir arbeiten
ich antworte | er antwortet | wir antworten
ich beobachte | er beobachtet | wir beobachten
ich klettere | er klettert | wir klettern
ich füttere | er füttert | wir füttern
ich tanze | er tanzt | wir tanzen
ich sitze | er sitzt | wir sitzen
ich grüße | er grüßt | wir grüßen
ich repariere | er repariert | wir reparieren
ich lade ein | er lädt ein | wir laden ein
ich mache auf | er macht auf | wir machen auf
ich mache zu | er macht zu | wir machen zu
ich hole ab | er holt ab | wir holen ab
ich setze auf | er setzt auf | wir setzen auf
ich räume auf | er räumt auf | wir räumen auf
ich bringe mit | er bringt mit | wir bringen mit
ich komme zurück | er kommt zurück | wir kommen zurück
ich wache auf | er wacht auf | wir wachen auf
ich stehe auf | er steht auf | wir stehen auf
ich schlafe ein | er schläft ein | wir schlafen ein
"""


@pytest.mark.parametrize("row", VERB_TABLE.strip().splitlines())
def test_verbs_follow_the_table(row):
    forms = [part.split()[1:] for part in row.split("|")]
    stem, *particle = forms[2]
    verb = VERBS["".join(particle) + stem]
    for person, (form, *_) in zip(("first", "third", "plural"), forms, strict=True):
        assert german.finite(verb, person) == form
    assert [verb.particle] == (particle or [""])


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        (words.BE, "bin ist sind"),
        (MODALS["können"], "kann kann können"),
        (MODALS["müssen"], "muss muss müssen"),
        (MODALS["sollen"], "soll soll sollen"),
        (MODALS["wollen"], "will will wollen"),
        (words.REPORTS[0][0], "weiß weiß wissen"),
    ],
)
def test_irregular_verbs_follow_the_table(verb, forms):
    assert [german.finite(verb, person) for person in ("first", "third", "plural")] == forms.split()


def test_no_first_person_ends_as_an_infinitive_does():
    regular = [verb for verb in words.VERBS if verb.first not in ("weiß",)]
    assert all(verb.first.endswith("e") for verb in regular)


# --- prepositions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        (at("in", some(words.THE, "Garten")), "im Garten"),
        (at("in", some(words.THE, "Küche")), "in der Küche"),
        (at("in", some(words.THE, "Haus", "alt")), "im alten Haus"),
        (at("in", some(words.MY, "Haus", "alt")), "in meinem alten Haus"),
        (at("in", some(words.THE, "Wald", plural=True)), "in den Wäldern"),
        (at("into", some(words.THE, "Garten")), "in den Garten"),
        (at("into", some(words.THE, "Küche")), "in die Küche"),
        (at("into", some(words.THE, "Haus", "dunkel")), "ins dunkle Haus"),
        (at("into", some(words.A, "Haus", "dunkel")), "in ein dunkles Haus"),
        (at("into", some(words.THE, "See"), "plunge"), "in den See"),
        (at("on", some(words.THE, "Dach")), "auf dem Dach"),
        (at("onto", some(words.THE, "Dach")), "auf das Dach"),
        (at("to", some(words.THE, "Schloss")), "zum Schloss"),
        (at("to", some(words.THE, "Fluss")), "zum Fluss"),
        (at("to", some(words.THE, "Schule", "neu")), "zur neuen Schule"),
        (at("to", some(words.A, "Schule")), "zu einer Schule"),
        (at("to", some(words.THE, "Turm", plural=True)), "zu den Türmen"),
        (at("out of", some(words.THE, "Höhle")), "aus der Höhle"),
        (at("through", some(words.THE, "Wald", "dunkel")), "durch den dunklen Wald"),
        (at("over", some(words.THE, "Brücke")), "über die Brücke"),
        (at("under", some(words.THE, "Tisch")), "unter dem Tisch"),
        (at("behind", some(words.THIS, "Tür")), "hinter dieser Tür"),
        (at("in front of", some(words.TWO, "Haus", "alt", plural=True)), "vor zwei alten Häusern"),
        (at("next to", some(words.HER, "Bett")), "neben ihrem Bett"),
        (PrepositionalPhrase(words.WITH, some(words.THE, "Bär", "müde")), "mit dem müden Bären"),
    ],
)
def test_prepositions_have_their_case_and_melt_with_the_article(phrase, expected):
    assert " ".join(german.prepositional_phrase(phrase)) == expected


# --- whole sentences -----------------------------------------------------------------------------------------

THE, A, MY, HER, TWO = words.THE, words.A, words.MY, words.HER, words.TWO
dog, cat, witch = some(THE, "Hund", "alt"), some(A, "Katze", "klein"), some(THE, "Hexe")
opens = Clause(witch, VERBS["aufmachen"], some(THE, "Tür"))
sleeps = Clause(some(THE, "König"), VERBS["schlafen"])
in_forest = at("in", some(THE, "Wald"))


def changed(clause, **parts):
    return replace(clause, **parts)


EXAMPLES = [
    # cases
    (
        Statement(Clause(dog, VERBS["sehen"], cat)),
        "The old dog sees a small cat.",
        "Der alte Hund sieht eine kleine Katze.",
    ),
    (
        Statement(Clause(cat, VERBS["sehen"], dog)),
        "A small cat sees the old dog.",
        "Eine kleine Katze sieht den alten Hund.",
    ),
    (
        Statement(Clause(cat, VERBS["helfen"], dog)),
        "A small cat helps the old dog.",
        "Eine kleine Katze hilft dem alten Hund.",
    ),
    (
        Statement(Clause(witch, VERBS["geben"], some(A, "Suppe", "heiß"), some(THE, "Drache", "hungrig"))),
        "The witch gives the hungry dragon a hot soup.",
        "Die Hexe gibt dem hungrigen Drachen eine heiße Suppe.",
    ),
    (
        Statement(
            Clause(PRONOUNS["we"], VERBS["zeigen"], some(MY, "Bild", "neu", True), some(TWO, "Mädchen", None, True))
        ),
        "We show two girls my new pictures.",
        "Wir zeigen zwei Mädchen meine neuen Bilder.",
    ),
    (
        Statement(Clause(PRONOUNS["I"], VERBS["vertrauen"], some(THE, "Bär"))),
        "I trust the bear.",
        "Ich vertraue dem Bären.",
    ),
    (Statement(Clause(PRONOUNS["I"], VERBS["kennen"], some(THE, "Bär"))), "I know the bear.", "Ich kenne den Bären."),
    # verb second
    (
        Statement(opens, PHRASES["in the evening"]),
        "In the evening the witch opens the door.",
        "Am Abend macht die Hexe die Tür auf.",
    ),
    (
        Statement(changed(opens, time=PHRASES["today"])),
        "The witch opens the door today.",
        "Die Hexe macht heute die Tür auf.",
    ),
    (
        Statement(Clause(dog, VERBS["schlafen"]), at("under", some(THE, "Tisch"))),
        "Under the table the old dog sleeps.",
        "Unter dem Tisch schläft der alte Hund.",
    ),
    (
        Statement(changed(sleeps, place=in_forest, time=PHRASES["every day"])),
        "The king sleeps in the forest every day.",
        "Der König schläft jeden Tag im Wald.",
    ),
    (
        Statement(changed(sleeps, place=in_forest, frequency=PHRASES["never"])),
        "The king never sleeps in the forest.",
        "Der König schläft nie im Wald.",
    ),
    # what is new stands after the place
    (
        Statement(Clause(witch, VERBS["lesen"], some(A, "Buch"), place=in_forest)),
        "The witch reads a book in the forest.",
        "Die Hexe liest im Wald ein Buch.",
    ),
    (
        Statement(Clause(witch, VERBS["lesen"], some(THE, "Buch"), place=in_forest)),
        "The witch reads the book in the forest.",
        "Die Hexe liest das Buch im Wald.",
    ),
    (
        Statement(Clause(witch, VERBS["tragen"], some(A, "Korb", "schwer"), motion=at("into", some(THE, "Küche")))),
        "The witch carries a heavy basket into the kitchen.",
        "Die Hexe trägt einen schweren Korb in die Küche.",
    ),
    (
        Statement(
            Clause(
                witch, VERBS["tanzen"], companion=PrepositionalPhrase(words.WITH, some(A, "Frosch")), place=in_forest
            )
        ),
        "The witch dances with a frog in the forest.",
        "Die Hexe tanzt mit einem Frosch im Wald.",
    ),
    # separable and modal verbs close the clause
    (
        Statement(changed(opens, modal=MODALS["wollen"])),
        "The witch wants to open the door.",
        "Die Hexe will die Tür aufmachen.",
    ),
    (
        Statement(Clause(PRONOUNS["they"], VERBS["zurückkommen"], motion=at("out of", some(THE, "Schloss")))),
        "They come back out of the castle.",
        "Sie kommen aus dem Schloss zurück.",
    ),
    (Statement(Clause(PRONOUNS["I"], VERBS["einschlafen"])), "I fall asleep.", "Ich schlafe ein."),
    # dependent clauses
    (
        Subordination(sleeps, PHRASES["because"], opens),
        "The king sleeps because the witch opens the door.",
        "Der König schläft, weil die Hexe die Tür aufmacht.",
    ),
    (
        Subordination(sleeps, PHRASES["when"], changed(opens, modal=MODALS["müssen"]), dependent_first=True),
        "When the witch must open the door, the king sleeps.",
        "Wenn die Hexe die Tür aufmachen muss, schläft der König.",
    ),
    (
        Subordination(opens, PHRASES["although"], Clause(PRONOUNS["she"], words.BE, predicate=ADJECTIVES["müde"])),
        "The witch opens the door although she is tired.",
        "Die Hexe macht die Tür auf, obwohl sie müde ist.",
    ),
    (
        Report(PRONOUNS["I"], *words.REPORTS[0], Clause(dog, VERBS["fressen"], some(THE, "Kuchen", plural=True))),
        "I know that the old dog eats the cakes.",
        "Ich weiß, dass der alte Hund die Kuchen frisst.",
    ),
    (
        Report(some(THE, "Riese"), *words.REPORTS[4], opens),
        "The giant asks whether the witch opens the door.",
        "Der Riese fragt, ob die Hexe die Tür aufmacht.",
    ),
    (
        Statement(Clause(some(THE, "Hexe", relative=Clause(None, VERBS["wohnen"], place=in_forest)), VERBS["singen"])),
        "The witch who lives in the forest sings.",
        "Die Hexe, die im Wald wohnt, singt.",
    ),
    (
        Statement(
            Clause(
                some(THE, "Hund", "alt", relative=Clause(None, VERBS["fressen"], some(A, "Ei"))),
                VERBS["abholen"],
                some(THE, "Junge"),
            )
        ),
        "The old dog that eats an egg picks up the boy.",
        "Der alte Hund, der ein Ei frisst, holt den Jungen ab.",
    ),
    (
        Statement(
            Clause(
                some(TWO, "Maus", None, True, Clause(None, words.BE, predicate=ADJECTIVES["mutig"])), VERBS["tanzen"]
            )
        ),
        "Two mice that are brave dance.",
        "Zwei Mäuse, die mutig sind, tanzen.",
    ),
    (
        Coordination(sleeps, PHRASES["but"], opens),
        "The king sleeps, but the witch opens the door.",
        "Der König schläft, aber die Hexe macht die Tür auf.",
    ),
    # questions
    (Question(opens), "Does the witch open the door?", "Macht die Hexe die Tür auf?"),
    (
        Question(changed(opens, modal=MODALS["können"])),
        "Can the witch open the door?",
        "Kann die Hexe die Tür aufmachen?",
    ),
    (
        Question(changed(opens, modal=MODALS["wollen"])),
        "Does the witch want to open the door?",
        "Will die Hexe die Tür aufmachen?",
    ),
    (Question(Clause(PRONOUNS["they"], words.BE, predicate=ADJECTIVES["klug"])), "Are they clever?", "Sind sie klug?"),
    (Question(sleeps, words.WHERE), "Where does the king sleep?", "Wo schläft der König?"),
    (
        Question(Clause(some(MY, "Kind", plural=True), VERBS["lachen"], frequency=PHRASES["always"]), words.WHY),
        "Why do my children always laugh?",
        "Warum lachen meine Kinder immer?",
    ),
    (WhoQuestion(changed(opens, subject=None)), "Who opens the door?", "Wer macht die Tür auf?"),
    (WhatQuestion(Clause(dog, VERBS["sehen"])), "What does the old dog see?", "Was sieht der alte Hund?"),
    # English
    (
        Statement(Clause(some(A, "Eule", "alt"), VERBS["suchen"], some(A, "Apfel"))),
        "An old owl looks for an apple.",
        "Eine alte Eule sucht einen Apfel.",
    ),
    (
        Statement(
            Clause(some(words.THIS, "Frau", plural=True), VERBS["aufsetzen"], some(words.MANY, "Hut", "rot", True))
        ),
        "These women put on many red hats.",
        "Diese Frauen setzen viele rote Hüte auf.",
    ),
    (
        Statement(Clause(PRONOUNS["I"], words.BE, predicate=ADJECTIVES["hungrig"], frequency=PHRASES["often"])),
        "I am often hungry.",
        "Ich bin oft hungrig.",
    ),
    (
        Statement(changed(sleeps, modal=MODALS["sollen"]), PHRASES["at night"]),
        "At night the king should sleep.",
        "In der Nacht soll der König schlafen.",
    ),
]


@pytest.mark.parametrize(("sentence", "in_english", "in_german"), EXAMPLES, ids=[row[1] for row in EXAMPLES])
def test_sentences_read_as_a_native_speaker_would_write_them(sentence, in_english, in_german):
    assert both(sentence) == (in_english, in_german)


def test_people_eat_and_animals_feed():
    person = Clause(some(THE, "Kind"), VERBS["essen"], some(THE, "Birne"))
    animal = Clause(some(THE, "Pferd"), VERBS["fressen"], some(THE, "Birne"))
    assert both(Statement(person)) == ("The child eats the pear.", "Das Kind isst die Birne.")
    assert both(Statement(animal)) == ("The horse eats the pear.", "Das Pferd frisst die Birne.")
    assert VERBS["essen"].subjects == {"person"} and VERBS["fressen"].subjects == {"animal"}
