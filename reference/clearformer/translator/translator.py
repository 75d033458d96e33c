"""A trained model together with its tokenizer, in a folder of its own."""

import json
from pathlib import Path

import torch

from clearformer.data.batches import pad_sources
from clearformer.data.tokenizer import END_ID, PAD_ID, START_ID, UNKNOWN_ID, Tokenizer
from clearformer.generation.beam import generate_beam
from clearformer.generation.greedy import generate_greedy
from clearformer.models import Transformer, TransformerConfig

SHIPPED = Path(__file__).parent.parent / "pretrained" / "multi30k_en_de"
MODEL, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
MAX_SOURCE_TOKENS = 256  # the training data's longest sentence has 52
BATCH_TOKENS = 4096


class TranslatorError(ValueError):
    """A translator cannot be read, or a text is not for it. The message says what to do."""


class Translator:
    """Translates lines of text.

    model        Transformer; tokenizer  Tokenizer
    beam_size, length_penalty   what `translate` uses unless it is told otherwise
    about        a dict: the recipe it comes from, and what else is known of it
    """

    def __init__(self, model, tokenizer, beam_size=5, length_penalty=1.0, about=None):
        if model.config.vocab_size != tokenizer.vocab_size:
            raise TranslatorError(
                f"the model has {model.config.vocab_size} tokens and the tokenizer {tokenizer.vocab_size}: "
                "they do not belong together"
            )
        self.model, self.tokenizer = model.eval(), tokenizer
        self.beam_size, self.length_penalty = beam_size, length_penalty
        self.about = dict(about or {})

    @classmethod
    def load(cls, folder=None):
        """The translator in a folder that `save` wrote, or that `clearformer train` did; None: the one that ships.

        English to German. TranslatorError names the file that is missing, damaged or of another model.
        """
        folder = SHIPPED if folder is None else Path(folder).expanduser()
        if not (folder / MODEL).exists() and (folder / "translator").is_dir():
            folder = folder / "translator"
        try:
            values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            tokenizer = Tokenizer.load(folder / TOKENIZER)
            model = Transformer(TransformerConfig.from_dict(values["model"]))
            _load_weights(model, folder / MODEL)
            return cls(model, tokenizer, **values["decoding"], about=values["about"])
        except OSError as error:
            raise TranslatorError(
                f"{folder} holds no translator: {Path(error.filename or folder).name} cannot be read "
                f"({error.strerror}). `clearformer train` makes one."
            ) from None
        except TranslatorError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise TranslatorError(f"{folder} holds a damaged translator: {error}") from None

    def save(self, folder, dtype=torch.float16):
        """Write the translator to a folder: safetensors with weights of this dtype, tokenizer and configuration.

        The old one stays where something goes wrong, and OSError says what.
        """
        import safetensors.torch

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in _weights(self.model).items()}
        values = {
            "model": self.model.config.to_dict(),
            "decoding": {"beam_size": self.beam_size, "length_penalty": self.length_penalty},
            "about": self.about,
        }
        contents = {
            MODEL: safetensors.torch.save(weights, metadata={"format": "pt"}),
            TOKENIZER: self.tokenizer.to_json().encode(),
            CONFIG: (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode(),
        }
        partial = {name: folder / f"{name}.partial" for name in contents}
        try:
            for name, content in contents.items():
                partial[name].write_bytes(content)
            for name, path in partial.items():
                path.replace(folder / name)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)

    def to(self, device):
        """Move the model; returns the translator."""
        self.model.to(device)
        return self

    def translate(self, texts, beam_size=None, length_penalty=None, progress=False):
        """The translation of each text, as a list of str; of a text without a word, "".

        texts: a list of str, a sentence each. beam_size 1 is greedy search. progress: show a bar. TranslatorError for
        a text of more than 256 tokens, before any is translated.
        """
        if isinstance(texts, str):
            raise TranslatorError("texts must be a list of texts; got one string: put it into a list")
        ids = self.encode(texts)
        beam_size = self.beam_size if beam_size is None else beam_size
        length_penalty = self.length_penalty if length_penalty is None else length_penalty
        translations = [""] * len(ids)
        with _bar(sum(map(bool, ids)), progress) as advance:
            for batch in _batches(ids):
                found = self._generate([ids[index] for index in batch], beam_size, length_penalty)
                for index, row in zip(batch, found, strict=True):
                    translations[index] = self.tokenizer.decode(row)
                advance(len(batch))
        return translations

    def encode(self, texts):
        """A list of ids for each text, without its end. TranslatorError for a text that is too long."""
        ids = self.tokenizer.encode_batch(texts)
        for text, row in zip(texts, ids, strict=True):
            if len(row) > MAX_SOURCE_TOKENS:
                raise TranslatorError(
                    f"a sentence may have {MAX_SOURCE_TOKENS} tokens; {_shortened(text)!r} has {len(row):,}. "
                    "Give it sentence by sentence."
                )
        return ids

    def _generate(self, rows, beam_size, length_penalty):
        device = next(self.model.parameters()).device
        source_ids = pad_sources(rows).to(device)
        max_len = 2 * max(map(len, rows)) + 20
        options = dict(start_id=START_ID, end_id=END_ID, forbidden_ids=[PAD_ID, START_ID, UNKNOWN_ID])
        if beam_size == 1 and not length_penalty:
            return generate_greedy(self.model, source_ids, max_len, **options).tolist()
        return generate_beam(self.model, source_ids, max_len, beam_size, length_penalty, **options).ids.tolist()


def _batches(ids):
    """Indices of the rows that are not empty, rows of like length together."""
    batch = []
    for index in sorted((index for index, row in enumerate(ids) if row), key=lambda index: len(ids[index])):
        if batch and (len(batch) + 1) * len(ids[index]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _weights(model):
    """{name: parameter}, a table that is shared only once."""
    return dict(model.named_parameters())


def _load_weights(model, path):
    import safetensors
    import safetensors.torch

    try:
        saved = safetensors.torch.load(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise TranslatorError(f"{path} is damaged: {error}") from None
    wanted = _weights(model)
    if differing := sorted(set(saved) ^ set(wanted)):
        raise TranslatorError(f"{path} belongs to another model: {differing[0]} is in one of them only")
    with torch.no_grad():
        for name, weight in wanted.items():
            if saved[name].shape != weight.shape:
                raise TranslatorError(
                    f"{path} belongs to another model: {name} has shape {tuple(saved[name].shape)}, "
                    f"the configuration asks for {tuple(weight.shape)}"
                )
            weight.copy_(saved[name])


def _shortened(text, length=40):
    return text if len(text) <= length else text[: length - 1] + "…"


def _bar(total, shown):
    from clearformer.translator.progress_bar import sentences_bar

    return sentences_bar(total, shown)
