"""Text to numbers and back: byte-pair encoding (Sennrich et al. 2016) with Hugging Face's `tokenizers`.

A joint vocabulary for both languages is learnt from the lines it is given and from nothing else. A piece that begins
a word begins with ▁, so that pieces put side by side give back the text.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path

PAD_ID, START_ID, END_ID, UNKNOWN_ID = 0, 1, 2, 3
SPECIAL_TOKENS = ("<pad>", "<start>", "<end>", "<unknown>")
SPACE = "▁"
UNKNOWN_MARK = "⁇"  # what an unknown character looks like when it is decoded
# A piece never crosses these borders. `&apos;` and the like are how some tokenised texts write punctuation.
_PIECES = (
    rf"{SPACE}?&[a-z]+;|{SPACE}?[\p{{L}}\p{{M}}]+|{SPACE}?\p{{N}}|{SPACE}?[^{SPACE}\p{{L}}\p{{M}}\p{{N}}]+|{SPACE}"
)


class Tokenizer:
    """Made by Tokenizer.train or Tokenizer.load. Ids 0 to 3: padding, start, end, unknown."""

    def __init__(self, inner):
        self._inner = inner
        self._pieces = [inner.id_to_token(number) for number in range(inner.get_vocab_size())]

    @classmethod
    def train(cls, lines, vocab_size, min_frequency=2):
        """Learn at most vocab_size pieces, the special ones among them, from an iterable of lines.

        min_frequency: how often a pair has to occur to be joined. All characters of the lines are in the vocabulary.
        The same lines in any order give the same tokenizer. ValueError where vocab_size has no room for the
        characters, or lines is a single string.
        """
        from tokenizers import models, trainers

        if isinstance(lines, str):
            raise ValueError("lines must be a list of lines; got one string")
        lines = list(lines)
        inner = _pipeline(models.BPE(unk_token=SPECIAL_TOKENS[UNKNOWN_ID]))
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=list(SPECIAL_TOKENS),
            show_progress=False,
        )
        needed = len(SPECIAL_TOKENS) + len({mark for line in lines for mark in inner.normalizer.normalize_str(line)})
        if vocab_size < needed:
            raise ValueError(f"vocab_size must be at least {needed}, one for each character; got {vocab_size}")
        inner.train_from_iterator(lines, trainer, length=len(lines))
        return cls(_without_added_tokens(inner))

    @property
    def vocab_size(self):
        return len(self._pieces)

    @property
    def pieces(self):
        """All pieces, at the place of their ids."""
        return list(self._pieces)

    def normalise(self, text):
        """What decode(encode(text)) gives back: composed characters (NFC), single spaces, none at the ends."""
        return self._inner.normalizer.normalize_str(text)

    def encode(self, text):
        """The ids of a text, without start and end. An unknown character is UNKNOWN_ID; an empty text is []."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts):
        """A list of ids for each text."""
        if isinstance(texts, str):
            raise ValueError("texts must be a list of texts; got one string: use encode for it")
        return [encoding.ids for encoding in self._inner.encode_batch(list(texts))]

    def decode(self, ids):
        """The text of ids up to the first end, without padding and start; ⁇ for an unknown character."""
        return self._inner.decoder.decode(self.to_pieces(ids))

    def decode_batch(self, batch):
        """A text for each row of ids: lists, or a tensor (batch, T)."""
        return [self.decode(ids) for ids in batch]

    def to_pieces(self, ids):
        """The pieces of ids up to the first end, without padding and start. ValueError for an id out of range."""
        pieces = []
        for number in map(int, ids):
            if not 0 <= number < self.vocab_size:
                raise ValueError(f"token ids must be from 0 to {self.vocab_size - 1}; got {number}")
            if number == END_ID:
                break
            if number == UNKNOWN_ID:
                pieces.append(UNKNOWN_MARK)
            elif number not in (PAD_ID, START_ID):
                pieces.append(self._pieces[number])
        return pieces

    def unknown_characters(self, text):
        """The characters of a text that the vocabulary does not have, in order, each once."""
        vocabulary = set(self._pieces)
        return [mark for mark in dict.fromkeys(self.normalise(text)) if mark != " " and mark not in vocabulary]

    def save(self, path):
        """Write one JSON file, in the format of `tokenizers`: the whole of it, or the old one stays."""
        path = Path(path)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.chmod(partial, 0o644)  # mkstemp makes a file that nobody else may read
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise

    def to_json(self):
        return self._inner.to_str(pretty=True)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. ValueError, with the file's name, where it holds something else."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not a tokenizer of this course: {error}") from None

    @classmethod
    def from_json(cls, text):
        """From the text of such a file. ValueError where it is something else."""
        import tokenizers

        try:
            inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(str(error)) from None
        found = tuple(inner.id_to_token(number) for number in range(len(SPECIAL_TOKENS)))
        if found != SPECIAL_TOKENS:
            raise ValueError(f"its first pieces should be {SPECIAL_TOKENS}; got {found}")
        return cls(inner)


def _pipeline(model):
    """A tokenizer around a model: how a text is tidied, split and put together again."""
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers

    inner = Tokenizer(model)
    inner.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(SPACE, "_"),  # a text must not hold the mark for spaces
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
        ]
    )
    inner.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return inner


def _without_added_tokens(trained):
    """The same tokenizer, but the text "<end>" is spelt out: no text can write a special token."""
    from tokenizers import models

    model = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    return _pipeline(models.BPE(vocab=model["vocab"], merges=merges, unk_token=model["unk_token"]))
