"""Captions as the shipped translator was trained on, written for this course: does it still know what it knew?

    from clearformer.data import photo_captions
    for english, german in photo_captions.load()[:5]: ...

None of them is from a data set. The German is one good translation of several.
"""

from typing import NamedTuple


class Pair(NamedTuple):
    english: str
    german: str


def load():
    """All of them, as a list of Pair(english, german)."""
    lines = [line.strip() for line in TEXT.strip().splitlines()]
    return [Pair(*(side.strip() for side in line.split("|"))) for line in lines]


TEXT = """
A man in a red jacket is riding a bike. | Ein Mann in einer roten Jacke fährt Fahrrad.
Two dogs are playing in the snow. | Zwei Hunde spielen im Schnee.
A woman is reading a book on a bench. | Eine Frau liest ein Buch auf einer Bank.
Three children are running on the beach. | Drei Kinder laufen am Strand.
A boy in a blue shirt is jumping into a pool. | Ein Junge in einem blauen Hemd springt in einen Pool.
A girl plays the guitar. | Ein Mädchen spielt Gitarre.
An old man is sitting in front of a house. | Ein alter Mann sitzt vor einem Haus.
A brown dog is running through the grass. | Ein brauner Hund rennt durch das Gras.
People are standing in front of a large building. | Leute stehen vor einem großen Gebäude.
A woman in a white dress is dancing on a stage. | Eine Frau in einem weißen Kleid tanzt auf einer Bühne.
Two men are working on a roof. | Zwei Männer arbeiten auf einem Dach.
A little girl is eating an ice cream. | Ein kleines Mädchen isst ein Eis.
A man is climbing a rock. | Ein Mann klettert auf einen Felsen.
A group of people is walking down the street. | Eine Gruppe von Menschen geht die Straße entlang.
A black dog is jumping over a fence. | Ein schwarzer Hund springt über einen Zaun.
Two women are talking to each other in a kitchen. | Zwei Frauen unterhalten sich in einer Küche.
A young man is playing soccer on a green field. | Ein junger Mann spielt Fußball auf einem grünen Feld.
A boy with a hat is holding a ball. | Ein Junge mit einem Hut hält einen Ball.
A man with a beard is playing the drums. | Ein Mann mit einem Bart spielt Schlagzeug.
Children are playing in the water. | Kinder spielen im Wasser.
A woman is cutting vegetables. | Eine Frau schneidet Gemüse.
A man is sleeping on a couch. | Ein Mann schläft auf einem Sofa.
Four people are sitting around a table. | Vier Personen sitzen um einen Tisch.
A white dog is catching a red ball. | Ein weißer Hund fängt einen roten Ball.
A girl in a yellow dress is standing on a bridge. | Ein Mädchen in einem gelben Kleid steht auf einer Brücke.
A man is taking a picture of a woman. | Ein Mann macht ein Foto von einer Frau.
A boy is riding a skateboard on a ramp. | Ein Junge fährt mit einem Skateboard auf einer Rampe.
Two girls are laughing. | Zwei Mädchen lachen.
A woman with glasses is working at a computer. | Eine Frau mit Brille arbeitet an einem Computer.
A man in a suit is talking on the phone. | Ein Mann in einem Anzug telefoniert.
A child is sitting on the shoulders of a man. | Ein Kind sitzt auf den Schultern eines Mannes.
A dog is running on the beach with a stick in its mouth. | Ein Hund läuft mit einem Stock im Maul am Strand.
A band is playing on a stage. | Eine Band spielt auf einer Bühne.
A woman in a green coat is crossing the street. | Eine Frau in einem grünen Mantel überquert die Straße.
Two boys are playing basketball. | Zwei Jungen spielen Basketball.
A man is standing on a ladder and painting a wall. | Ein Mann steht auf einer Leiter und streicht eine Wand.
A baby is sleeping in a bed. | Ein Baby schläft in einem Bett.
A woman is pushing a stroller through a park. | Eine Frau schiebt einen Kinderwagen durch einen Park.
A man is jumping from a cliff into the ocean. | Ein Mann springt von einer Klippe ins Meer.
Many people are sitting in a restaurant. | Viele Leute sitzen in einem Restaurant.
"""
