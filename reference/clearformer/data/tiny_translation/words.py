"""The dictionary: nouns, adjectives, verbs, and which of them go together."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Noun:
    """kinds: what it is and where one can be, or go, with it. weak: ends in -n or -en, as its plural does, in every
    case of the singular but the nominative (der Bär, den Bären)."""

    english: str
    english_plural: str
    german: str
    gender: str  # "m", "f" or "n"
    plural: str
    kinds: frozenset
    weak: bool = False


@dataclass(frozen=True, eq=False)
class Adjective:
    """stem: what the endings are added to (dunkel, der dunkle Wald). kinds: the kinds of nouns it goes with.
    passing: it may be so today and otherwise tomorrow."""

    english: str
    german: str
    stem: str
    kinds: frozenset
    passing: bool = False


@dataclass(frozen=True, eq=False)
class Verb:
    """english and german hold two forms: for we and they, and for he, she and it.

    particle: the separable part (er macht die Tür auf). subjects, objects, places: kinds of nouns; with no places,
    nothing is said about where. case: its object's. motions: the kinds of the prepositions it can go with.
    one_each: whoever is alone does it to one thing. lasting: it is so every day, and nobody has to or wants to.
    about_whom: a relative clause can say it of somebody who is doing something else at the time.
    """

    english: tuple
    german: tuple
    first: str  # the form for I
    particle: str = ""
    subjects: frozenset = frozenset({"person", "animal"})
    objects: frozenset = frozenset()
    case: str = "accusative"
    gives: bool = False  # somebody something
    company: bool = False  # with somebody
    places: frozenset = frozenset()
    needs_place: bool = False
    motions: tuple = ()
    one_each: bool = False
    lasting: bool = False
    wanted: bool = True  # one can want to, or have to
    about_whom: bool = True

    @property
    def infinitive(self):
        return self.particle + self.german[0]


@dataclass(frozen=True, eq=False)
class Modal:
    """A verb that takes another in the infinitive. english: with they, with he, and in a question after do, or ""."""

    english: tuple
    german: tuple
    first: str
    helper: bool  # its questions are made with do


@dataclass(frozen=True, eq=False)
class Preposition:
    """case: the one it asks for. kind: the nouns that can follow it have it among their kinds. several: who is alone
    can go to several in a row."""

    english: str
    german: str
    case: str
    kind: str
    several: bool = False


@dataclass(frozen=True, eq=False)
class Determiner:
    """endings: a key of german.DETERMINER_ENDINGS. numbers: "singular", "plural" or both; adjectives: their endings."""

    english: tuple  # singular, plural; "" where there is none
    german: str
    endings: str
    adjectives: str
    definite: bool


@dataclass(frozen=True, eq=False)
class Pronoun:
    english: str
    german: str
    person: str  # "first", "third" or "plural"


@dataclass(frozen=True, eq=False)
class Phrase:
    """A fixed phrase that is the same wherever it stands: of time, of frequency, a conjunction, a question word."""

    english: str
    german: str


def _rows(text):
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


BUILDING = "in into to behind front beside wide place new own"  # short for these kinds


def _noun(english, german, kinds):
    singular, plural = english.split()
    word, gender, many, *weak = german.split()
    kinds = kinds.replace("building", BUILDING)
    return Noun(singular, plural, word, gender, many, frozenset(kinds.split()), weak == ["weak"])


def _adjective(english, german, kinds, passing=""):
    word, *stem = german.split()
    return Adjective(english, word, stem[0] if stem else word, frozenset(kinds.split()), passing == "passing")


# English, singular and plural | German, gender and plural, `weak` | kinds.
# in, on, under, behind, front, beside: one can be there. into, plunge, onto, up, through, to, out, over: one can go
# there. wide: most things can happen there; plain: some; for_one: it has no room for two. own: one can say whose it is.
NOUNS = [
    _noun(*row)
    for row in _rows("""
man men | Mann m Männer | person grown
woman women | Frau f Frauen | person grown
child children | Kind n Kinder | person youth own
girl girls | Mädchen n Mädchen | person youth
boy boys | Junge m Jungen weak | person boy
king kings | König m Könige | person grown
queen queens | Königin f Königinnen | person grown
prince princes | Prinz m Prinzen weak | person grown
princess princesses | Prinzessin f Prinzessinnen | person grown
witch witches | Hexe f Hexen | person grown flier
wizard wizards | Zauberer m Zauberer | person grown
giant giants | Riese m Riesen weak | person grown
grandmother grandmothers | Großmutter f Großmütter | person elder own
grandfather grandfathers | Großvater m Großväter | person elder own
dog dogs | Hund m Hunde | animal own
cat cats | Katze f Katzen | animal own
horse horses | Pferd n Pferde | animal own
bear bears | Bär m Bären weak | animal
fox foxes | Fuchs m Füchse | animal
mouse mice | Maus f Mäuse | animal own
pig pigs | Schwein n Schweine | animal own
bird birds | Vogel m Vögel | animal flier own
owl owls | Eule f Eulen | animal flier
dragon dragons | Drache m Drachen weak | animal flier
frog frogs | Frosch m Frösche | animal own
apple apples | Apfel m Äpfel | food sweet own
pear pears | Birne f Birnen | food sweet own
cake cakes | Kuchen m Kuchen | food sweet baked own
cookie cookies | Keks m Kekse | food sweet baked own
egg eggs | Ei n Eier | food cooked own
soup soups | Suppe f Suppen | food cooked own
carrot carrots | Karotte f Karotten | food cooked own
book books | Buch n Bücher | thing readable written long heavy coloured own
letter letters | Brief m Briefe | thing readable written long own
newspaper newspapers | Zeitung f Zeitungen | thing readable own
story stories | Geschichte f Geschichten | readable written long own
picture pictures | Bild n Bilder | thing dear heavy own
hat hats | Hut m Hüte | thing worn dear coloured golden own
crown crowns | Krone f Kronen | thing worn dear heavy golden own
ring rings | Ring m Ringe | thing dear golden own
sword swords | Schwert n Schwerter | thing dear heavy long golden own
key keys | Schlüssel m Schlüssel | thing coloured golden own
lamp lamps | Lampe f Lampen | thing broken dear heavy coloured golden own
clock clocks | Uhr f Uhren | thing broken dear heavy coloured golden own
basket baskets | Korb m Körbe | thing heavy coloured own
flower flowers | Blume f Blumen | thing coloured own
boat boats | Boot n Boote | in plunge out broken plain coloured new own
door doors | Tür f Türen | behind front beside through to opened broken plain coloured heavy new own
window windows | Fenster n Fenster | under beside to opened broken plain coloured new own
table tables | Tisch m Tische | on under onto beside plain long heavy new own
chair chairs | Stuhl m Stühle | for_one on under onto beside broken plain coloured new own
bed beds | Bett n Betten | in under plunge beside plain new
roof roofs | Dach n Dächer | on onto over high broken plain coloured new own
garden gardens | Garten m Gärten | in into plunge through out wide place quiet own
forest forests | Wald m Wälder | in into through out over wide home place dark quiet
kitchen kitchens | Küche f Küchen | in into through out wide place dark tidied cooking new own
cave caves | Höhle f Höhlen | in into through out to front wide home place dark own
house houses | Haus n Häuser | building through out over home dark quiet tidied coloured
castle castles | Schloss n Schlösser | building through out over home dark tidied
tower towers | Turm m Türme | building out over home dark tall
village villages | Dorf n Dörfer | in into through to over wide home place quiet own
school schools | Schule f Schulen | building quiet
mill mills | Mühle f Mühlen | building out home
bridge bridges | Brücke f Brücken | on under to over beside wide place high broken long new
tree trees | Baum m Bäume | under behind to up beside wide nature tall
mountain mountains | Berg m Berge | up over behind to wide home high nature
lake lakes | See m Seen | plunge over to beside wide home quiet nature water
river rivers | Fluss m Flüsse | plunge over to beside wide home quiet nature water long
""")
]

# English | German, and the stem where it is another word | the kinds it goes with | passing
ADJECTIVES = [
    _adjective(*row)
    for row in _rows("""
old | alt | grown elder animal thing place plain
small | klein | grown youth boy animal thing place food plain nature
big | groß | grown youth boy animal thing place food plain nature
young | jung | youth grown animal
clever | klug | person animal
tired | müde müd | person animal | passing
hungry | hungrig | person animal | passing
brave | mutig | person animal
lazy | faul | person animal | passing
friendly | freundlich | person animal | passing
sad | traurig | person animal | passing
happy | glücklich | person animal | passing
strange | seltsam | person animal readable place
funny | lustig | person animal readable
long | lang | long
new | neu | thing new
heavy | schwer | heavy
expensive | teuer teur | dear
beautiful | schön | thing place readable nature
golden | golden | golden
red | rot | coloured
blue | blau | coloured
green | grün | coloured
fresh | frisch | sweet cooked
sweet | süß | sweet
hot | heiß | cooked baked | passing
cold | kalt | cooked dark water | passing
dark | dunkel dunkl | dark | passing
high | hoch hoh | high
tall | hoch hoh | tall
quiet | ruhig | quiet | passing
""")
]


# by their English, since high and tall are one word in German; nobody is two words of a row at once
OPPOSITES = [
    {"old", "young", "new"},
    {"small", "big"},
    {"small", "tall", "high"},
    {"sad", "happy", "funny"},
    {"hot", "cold"},
    {"red", "blue", "green", "golden"},
]


def _verb(
    english, german, first="", particle="", subjects="person animal", objects="", places="wide", motions="", **more
):
    we, she = english.split(", ")
    they, he = german.split()
    return Verb(
        (we, she),
        (they, he),
        first or they[:-1],
        particle,
        frozenset(subjects.split()),
        frozenset(objects.split()),
        places=frozenset(places.split()),
        motions=tuple(motions.split()),
        **more,
    )


ANYWHERE = "wide plain"
VERBS = [
    _verb("sleep, sleeps", "schlafen schläft", places=ANYWHERE, about_whom=False),
    _verb("sing, sings", "singen singt", places=ANYWHERE),
    _verb("laugh, laughs", "lachen lacht", places=ANYWHERE),
    _verb("dream, dreams", "träumen träumt", wanted=False, places=ANYWHERE, about_whom=False),
    _verb("wait, waits", "warten wartet", places=ANYWHERE),
    _verb("work, works", "arbeiten arbeitet"),
    _verb("cry, cries", "weinen weint", places=ANYWHERE),
    _verb("dance, dances", "tanzen tanzt", company=True),
    _verb("play, plays", "spielen spielt", company=True, places=ANYWHERE),
    _verb("talk, talks", "sprechen spricht", company=True),
    _verb("live, lives", "wohnen wohnt", needs_place=True, places="home", lasting=True),
    _verb("sit, sits", "sitzen sitzt", needs_place=True, places=ANYWHERE),
    _verb("stand, stands", "stehen steht", needs_place=True),
    _verb("wake up, wakes up", "wachen wacht", wanted=False, particle="auf", places=ANYWHERE, about_whom=False),
    _verb("get up, gets up", "stehen steht", particle="auf", places="", about_whom=False),
    _verb(
        "fall asleep, falls asleep", "schlafen schläft", particle="ein", wanted=False, places=ANYWHERE, about_whom=False
    ),
    _verb("go, goes", "gehen geht", motions="into through to"),
    _verb("run, runs", "laufen läuft", motions="into through to out"),
    _verb("jump, jumps", "springen springt", motions="plunge onto out"),
    _verb("climb, climbs", "klettern klettert", first="klettere", motions="up onto"),
    _verb("fly, flies", "fliegen fliegt", subjects="flier", motions="over to into"),
    _verb("come, comes", "kommen kommt", motions="out to"),
    _verb("come back, comes back", "kommen kommt", particle="zurück", motions="into out to"),
    _verb("see, sees", "sehen sieht", objects="person animal thing food", places=ANYWHERE),
    _verb("find, finds", "finden findet", objects="person animal thing", places=ANYWHERE),
    _verb("look for, looks for", "suchen sucht", objects="person animal thing food", places=ANYWHERE),
    _verb("visit, visits", "besuchen besucht", objects="person animal"),
    _verb("love, loves", "lieben liebt", objects="person animal", places="", lasting=True),
    _verb("know, knows", "kennen kennt", objects="person animal", places="", lasting=True),
    _verb("hear, hears", "hören hört", objects="person animal"),
    _verb("greet, greets", "grüßen grüßt", objects="person animal"),
    _verb("wake, wakes", "wecken weckt", objects="person animal"),
    _verb("watch, watches", "beobachten beobachtet", objects="person animal"),
    _verb("paint, paints", "malen malt", objects="person animal place"),
    _verb("feed, feeds", "füttern füttert", first="füttere", subjects="person", objects="animal"),
    _verb("invite, invites", "laden lädt", particle="ein", objects="person animal", places=""),
    _verb("pick up, picks up", "holen holt", particle="ab", objects="person"),
    _verb("eat, eats", "essen isst", subjects="person", objects="food", places=ANYWHERE),
    _verb("eat, eats", "fressen frisst", subjects="animal", objects="food", places=ANYWHERE),
    _verb("cook, cooks", "kochen kocht", objects="cooked", places="cooking"),
    _verb("bake, bakes", "backen backt", objects="baked", places="cooking"),
    _verb("read, reads", "lesen liest", objects="readable", places=ANYWHERE),
    _verb("write, writes", "schreiben schreibt", objects="written"),
    _verb("buy, buys", "kaufen kauft", objects="thing food"),
    _verb("steal, steals", "stehlen stiehlt", objects="thing food"),
    _verb("hide, hides", "verstecken versteckt", objects="thing sweet", places=ANYWHERE),
    _verb("lose, loses", "verlieren verliert", objects="thing", wanted=False),
    _verb("carry, carries", "tragen trägt", objects="thing", motions="into to through out"),
    _verb("repair, repairs", "reparieren repariert", objects="broken"),
    _verb("put on, puts on", "setzen setzt", particle="auf", objects="worn", one_each=True),
    _verb("open, opens", "machen macht", particle="auf", objects="opened", places=""),
    _verb("close, closes", "machen macht", particle="zu", objects="opened", places=""),
    _verb("tidy up, tidies up", "räumen räumt", particle="auf", objects="tidied", places=""),
    _verb("bring along, brings along", "bringen bringt", particle="mit", objects="thing food", places=""),
    _verb("help, helps", "helfen hilft", objects="person animal", case="dative"),
    _verb("thank, thanks", "danken dankt", objects="person animal", case="dative"),
    _verb("follow, follows", "folgen folgt", objects="person animal", case="dative", places=""),
    _verb("trust, trusts", "vertrauen vertraut", objects="person animal", case="dative", places="", lasting=True),
    _verb("answer, answers", "antworten antwortet", objects="person", case="dative"),
    _verb("give, gives", "geben gibt", objects="thing food", gives=True),
    _verb("show, shows", "zeigen zeigt", objects="thing", gives=True),
    _verb("bring, brings", "bringen bringt", objects="thing food", gives=True),
    _verb("sell, sells", "verkaufen verkauft", objects="thing food", gives=True),
    _verb("lend, lends", "leihen leiht", objects="thing", gives=True),
    _verb("send, sends", "schicken schickt", objects="thing", gives=True),
]

BE = Verb(("are", "is"), ("sind", "ist"), "bin")

MODALS = [
    Modal(("can", "can"), ("können", "kann"), "kann", helper=False),
    Modal(("must", "must"), ("müssen", "muss"), "muss", helper=False),
    Modal(("should", "should"), ("sollen", "soll"), "soll", helper=False),
    Modal(("want to", "wants to"), ("wollen", "will"), "will", helper=True),
]

# verbs of saying and thinking, and the conjunction that follows
REPORTS = [
    (_verb("know, knows", "wissen weiß", first="weiß"), Phrase("that", "dass")),
    (_verb("say, says", "sagen sagt"), Phrase("that", "dass")),
    (_verb("believe, believes", "glauben glaubt"), Phrase("that", "dass")),
    (_verb("hope, hopes", "hoffen hofft"), Phrase("that", "dass")),
    (_verb("ask, asks", "fragen fragt"), Phrase("whether", "ob")),
]

PLACES = [
    Preposition("in", "in", "dative", "in"),
    Preposition("on", "auf", "dative", "on"),
    Preposition("under", "unter", "dative", "under"),
    Preposition("behind", "hinter", "dative", "behind"),
    Preposition("in front of", "vor", "dative", "front"),
    Preposition("next to", "neben", "dative", "beside"),
]
MOTIONS = [
    Preposition("into", "in", "accusative", "into"),
    Preposition("into", "in", "accusative", "plunge"),
    Preposition("onto", "auf", "accusative", "onto"),
    Preposition("up", "auf", "accusative", "up"),
    Preposition("through", "durch", "accusative", "through", several=True),
    Preposition("over", "über", "accusative", "over", several=True),
    Preposition("to", "zu", "dative", "to", several=True),
    Preposition("out of", "aus", "dative", "out"),
]
WITH = Preposition("with", "mit", "dative", "")

THE = Determiner(("the", "the"), "d", "the", "weak", definite=True)
A = Determiner(("a", ""), "ein", "ein", "mixed", definite=False)
THIS = Determiner(("this", "these"), "dies", "this", "weak", definite=True)
MY = Determiner(("my", "my"), "mein", "ein", "mixed", definite=True)
HIS = Determiner(("his", "his"), "sein", "ein", "mixed", definite=True)
HER = Determiner(("her", "her"), "ihr", "ein", "mixed", definite=True)
TWO = Determiner(("", "two"), "zwei", "none", "strong", definite=False)
THREE = Determiner(("", "three"), "drei", "none", "strong", definite=False)
MANY = Determiner(("", "many"), "viel", "this", "strong", definite=False)
POSSESSIVES = [MY, HIS, HER]
DETERMINERS = [THE, A, THIS, MY, HIS, HER, TWO, THREE, MANY]

PRONOUNS = [
    Pronoun("I", "ich", "first"),
    Pronoun("he", "er", "third"),
    Pronoun("she", "sie", "third"),
    Pronoun("we", "wir", "plural"),
    Pronoun("they", "sie", "plural"),
]

TIMES = [
    Phrase("today", "heute"),
    Phrase("every day", "jeden Tag"),
    Phrase("in the morning", "am Morgen"),
    Phrase("in the evening", "am Abend"),
    Phrase("at night", "in der Nacht"),
    Phrase("on Sunday", "am Sonntag"),
    Phrase("in winter", "im Winter"),
]
SOMETIMES = Phrase("sometimes", "manchmal")
FREQUENCIES = [
    Phrase("often", "oft"),
    Phrase("always", "immer"),
    SOMETIMES,
    Phrase("never", "nie"),
]
BEFORE = Phrase("before", "bevor")
CONJUNCTIONS = [
    Phrase("because", "weil"),
    Phrase("although", "obwohl"),
    Phrase("when", "wenn"),
    Phrase("while", "während"),
    BEFORE,
]
COORDINATIONS = [Phrase("and", "und"), Phrase("but", "aber")]
WHY, WHERE = Phrase("why", "warum"), Phrase("where", "wo")
