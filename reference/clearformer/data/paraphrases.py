"""Pairs of sentences that say the same in other words: does an encoder still find the one that belongs to the other?

    from clearformer.data import paraphrases
    for first, second in paraphrases.load()[:5]: ...

Written for this course, about all sorts of things.
"""

from typing import NamedTuple


class Pair(NamedTuple):
    first: str
    second: str


def load():
    """All of them, as a list of Pair(first, second)."""
    lines = [line.strip() for line in TEXT.strip().splitlines()]
    return [Pair(*(side.strip() for side in line.split("|"))) for line in lines]


TEXT = """
The train to the coast leaves at nine. | At nine o'clock there is a train to the seaside.
She has lost the key to her flat. | Her apartment key cannot be found.
The bridge will be closed for repairs. | Nobody can cross the bridge while it is being mended.
My brother plays the violin. | A member of my family is a violinist.
It rained all night. | The rain did not stop until morning.
The museum is free on Sundays. | You need no ticket for the museum on Sunday.
He forgot to water the plants. | The plants got no water because of him.
The doctor told me to rest. | I was given the advice to stay in bed by my physician.
Our team won the last match. | The final game ended with a victory for us.
The price of petrol has gone up. | Fuel is more expensive than before.
They moved to a small village. | Their new home is in the countryside.
The children built a castle of sand. | On the beach a sandcastle was made by the kids.
I cannot open this file. | The document refuses to load on my computer.
The moon was very bright last night. | There was strong moonlight yesterday evening.
She speaks four languages. | She is fluent in four tongues.
The bakery sells out before noon. | By midday the bread shop has nothing left.
He has been afraid of dogs since he was bitten. | A bite made him scared of dogs.
The meeting was put off until Friday. | We will meet on Friday instead.
The old tree fell in the storm. | Strong wind brought down the ancient oak.
We are running out of paper. | There is hardly any paper left.
The library lends films too. | You can borrow movies from the library.
Her grandfather was a fisherman. | Her mother's father caught fish for a living.
The printer makes a strange noise. | An odd sound comes from the printing machine.
The lake is frozen in winter. | Ice covers the water in the cold months.
He is saving money for a bicycle. | He puts cash aside to buy a bike.
The film lasts for three hours. | It takes three hours to watch the movie.
The cat sleeps on the radiator. | Our cat naps where it is warm, on the heater.
The road is too narrow for buses. | A bus cannot pass because the street is not wide enough.
She grows tomatoes on her balcony. | On her terrace she has tomato plants.
The police found the stolen car. | The missing vehicle was recovered by officers.
The exam was harder than last year. | Last year's test was easier.
I have a pain in my left knee. | My left leg hurts at the joint.
The shop does not take cards. | You have to pay in cash there.
The river flooded the fields. | The fields are under water since the river rose.
He reads a story to his daughter every evening. | Each night his little girl hears a tale from him.
The plane landed with a delay. | Our flight arrived late.
She repaired the roof by herself. | Without help she mended the top of the house.
The battery of my phone is empty. | My mobile needs to be charged.
The choir practises on Tuesdays. | Every Tuesday the singers rehearse.
This jacket is too small for me. | I need a bigger coat than this one.
"""
