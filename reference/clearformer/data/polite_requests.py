"""Polite requests in English and German, from a small grammar of our own: another style than captions of photographs.

    from clearformer.data import polite_requests
    for english, german in polite_requests.load("test")[:5]: ...

    Could you please open the window today?       Könnten Sie bitte heute das Fenster aufmachen?

They have what a caption never has: somebody who is spoken to, questions, orders, infinitives with zu.
"""

import random
from typing import NamedTuple

SIZES = {"train": 2000, "validation": 200, "test": 400}
HELD_OUT_SHARE = 0.15  # of the pairs of a verb and its object


class Pair(NamedTuple):
    english: str
    german: str


# English, German, gender
NOUNS = {
    english: (german, gender)
    for english, german, gender in (
        line.split()
        for line in """
        address Adresse f
        bag Tasche f
        bathroom Bad n
        bicycle Fahrrad n
        bill Rechnung f
        book Buch n
        box Karton m
        car Auto n
        clock Uhr f
        computer Computer m
        contract Vertrag m
        cup Tasse f
        door Tür f
        drawer Schublade f
        fence Zaun m
        form Formular n
        garden Garten m
        gate Tor n
        glass Glas n
        heating Heizung f
        key Schlüssel m
        kitchen Küche f
        lamp Lampe f
        letter Brief m
        newspaper Zeitung f
        oven Ofen m
        parcel Paket n
        passport Pass m
        picture Bild n
        printer Drucker m
        radio Radio n
        recipe Rezept n
        report Bericht m
        room Zimmer n
        suitcase Koffer m
        table Tisch m
        ticket Fahrkarte f
        umbrella Regenschirm m
        window Fenster n
        """.strip().splitlines()
    )
}

# English, with … for the object | German: particle-verb | what it is done to. "me": to whom it is done, mir.
VERBS = [
    tuple(part.strip() for part in line.split("|"))
    for line in """
    open … | auf-machen | window door box letter suitcase drawer gate parcel
    close … | zu-machen | window door box suitcase drawer gate bag umbrella
    bring me … | bringen | key newspaper glass bill umbrella bag letter book cup lamp
    show me … | zeigen | room ticket passport kitchen garden picture letter recipe
    repair … | reparieren | lamp bicycle radio printer clock car gate fence
    clean … | putzen | window kitchen bathroom table oven room
    wash … | waschen | car cup glass bicycle window
    sign … | unterschreiben | letter contract form report
    read … | lesen | letter book newspaper contract report recipe form
    check … | prüfen | bill contract report form ticket passport address
    send me … | schicken | letter report bill form picture address contract book
    translate … | übersetzen | letter report book contract recipe form
    switch on … | ein-schalten | lamp radio printer oven heating computer
    switch off … | aus-schalten | lamp radio printer oven heating computer
    pick up … | ab-holen | parcel suitcase car bicycle newspaper ticket key
    take … along | mit-nehmen | umbrella key bag suitcase passport book ticket
    paint … | streichen | door kitchen room gate fence table
    print … | aus-drucken | report letter form ticket contract picture
    copy … | kopieren | report letter form contract passport recipe
    look for … | suchen | key bag passport umbrella book letter ticket
    sell … | verkaufen | car bicycle book picture clock lamp
    """.strip().splitlines()
]

# English: German stem, and its endings in the accusative for m, f, n
DETERMINERS = {
    "the": ("den", "die", "das"),
    "this": ("diesen", "diese", "dieses"),
    "my": ("meinen", "meine", "mein"),
    "our": ("unseren", "unsere", "unser"),
}
TIMES = {
    "": "",
    "today": "heute",
    "tomorrow": "morgen",
    "now": "jetzt",
    "tonight": "heute Abend",
    "at once": "sofort",
    "on Monday": "am Montag",
    "next week": "nächste Woche",
    "before lunch": "vor dem Mittagessen",
    "after the meeting": "nach der Besprechung",
}
# English | German. {do} the verb with its object; {whom} mir or nothing; {when}, {what}; {finite} … {particle}, {verb}
# or {to_verb}: the verb in two parts, at the end, and at the end with zu.
FRAMES = [
    tuple(part.strip() for part in line.split("|"))
    for line in """
    Please {do} {time}. | Bitte {finite} Sie {whom} {when} {what} {particle}.
    Please do not {do} {time}. | Bitte {finite} Sie {whom} {when} {what} nicht {particle}.
    Could you please {do} {time}? | Könnten Sie {whom} bitte {when} {what} {verb}?
    Would you be so kind as to {do} {time}? | Wären Sie so freundlich, {whom} {when} {what} {to_verb}?
    I would like to ask you to {do} {time}. | Ich möchte Sie bitten, {whom} {when} {what} {to_verb}.
    I would be grateful if you could {do} {time}. | Ich wäre Ihnen dankbar, wenn Sie {whom} {when} {what} {verb} könnten.
    You do not need to {do} {time}. | Sie brauchen {whom} {when} {what} nicht {to_verb}.
    """.strip().splitlines()  # noqa: E501
]


def load(split, seed=0):
    """The requests of a split as a list of Pair(english, german); the same list for the same seed.

    split: "train", "validation" (new requests) or "test" (a verb with an object that training never shows together;
    every single word is in training). No request stands in two of them.
    """
    if split not in SIZES:
        raise ValueError(f"split must be one of {', '.join(SIZES)}; got {split!r}")
    draw = random.Random(f"polite_requests {seed}")
    held_out = held_out_combinations(seed)
    splits, seen = {name: [] for name in SIZES}, set()
    for name, size in SIZES.items():
        while len(splits[name]) < size:
            verb = draw.choice(VERBS)
            noun = draw.choice(verb[2].split())
            if (name == "test") != ((verb[0], noun) in held_out):
                continue
            pair = request(draw.choice(FRAMES), verb, noun, draw.choice([*DETERMINERS]), draw.choice([*TIMES]))
            if pair.english not in seen:
                seen.add(pair.english)
                splits[name].append(pair)
    return splits[split]


def held_out_combinations(seed=0):
    """The pairs (verb, object) that training never shows; each verb and each object stays with at least one other."""
    draw = random.Random(f"polite_requests combinations {seed}")
    possible = [(verb, noun) for verb, _, nouns in VERBS for noun in nouns.split()]
    draw.shuffle(possible)
    held_out, kept = set(), set(possible)
    for verb, noun in possible:
        others = kept - {(verb, noun)}
        if any(other == verb for other, _ in others) and any(other == noun for _, other in others):
            held_out.add((verb, noun))
            kept = others
        if len(held_out) >= HELD_OUT_SHARE * len(possible):
            break
    return frozenset(held_out)


def request(frame, verb, noun, determiner, time):
    """One of FRAMES with one of VERBS, and the English noun, determiner and time, as a Pair."""
    english_verb, german_verb, _ = verb
    german_noun, gender = NOUNS[noun]
    particle, _, base = german_verb.rpartition("-")
    do = english_verb.replace("…", f"{determiner} {noun}")
    return Pair(
        _tidy(frame[0].format(do=do, time=time)),
        _tidy(
            frame[1].format(
                finite=base,  # with Sie a verb has the form of its infinitive
                particle=particle,
                verb=particle + base,
                to_verb=f"{particle}zu{base}" if particle else f"zu {base}",
                whom="mir" if " me " in english_verb else "",
                when=TIMES[time],
                what=f"{DETERMINERS[determiner]['mfn'.index(gender)]} {german_noun}",
            )
        ),
    )


def _tidy(line):
    """Single spaces, none before a mark."""
    line = " ".join(line.split())
    for mark in ".?,":
        line = line.replace(f" {mark}", mark)
    return line
