"""`clearformer translate` and `clearformer evaluate`, without the reading of options."""

import json
import sys
import time
from pathlib import Path

from clearformer.data.download import DataError
from clearformer.translator.translator import Translator, TranslatorError

DONE, NOT_POSSIBLE = 0, 2


def translate(texts, model=None, beam_size=None):
    """Print a translation for each text, or for each line of the standard input; returns the exit status."""
    try:
        translator = Translator.load(model)
        if not texts:
            if sys.stdin.isatty():
                print("Type a sentence and press Enter; Ctrl-D ends.", file=sys.stderr)
                return _translate_as_they_come(translator, beam_size)
            texts = [line.rstrip("\n") for line in sys.stdin]
        translations = translator.translate(texts, beam_size, progress=len(texts) > 20)
    except TranslatorError as problem:
        return _failed(problem)
    except UnicodeDecodeError as problem:
        return _failed(f"The input is not text in UTF-8: {problem}.")
    for text, translation in zip(texts, translations, strict=True):
        _warn_of_unknown(translator, text)
        print(translation)
    return DONE


def _translate_as_they_come(translator, beam_size):
    for line in sys.stdin:
        try:
            print(translator.translate([line.rstrip("\n")], beam_size)[0], flush=True)
            _warn_of_unknown(translator, line)
        except TranslatorError as problem:
            _failed(problem)
    return DONE


def _warn_of_unknown(translator, text):
    unknown = translator.tokenizer.unknown_characters(text)
    if unknown:
        print(f"Not in this translator's vocabulary, so it cannot see it: {' '.join(unknown)}", file=sys.stderr)


def evaluate(model=None, test_sets=(), beam_size=None, json_file=None, keep=None):
    """Score a translator on its test sets and print a table; returns the exit status."""
    from clearformer.translator.scores import all_test_sets, score

    try:
        translator = Translator.load(model)
        known = all_test_sets(translator)
        for name in test_sets:
            if name not in known:
                return _failed(f"There is no test set {name} for this translator; there are {', '.join(known)}.")
        rows, began = [], time.monotonic()
        for name in test_sets or known:
            found, translations = score(translator, name, beam_size, progress=True)
            rows += found
            if keep:
                _keep(Path(keep), name, translations)
    except (TranslatorError, DataError, ValueError, OSError) as problem:
        return _failed(problem)
    if str(json_file) == "-":
        print(_as_json(translator, rows))
        return DONE
    _print_table(rows, time.monotonic() - began)
    if json_file:
        try:
            Path(json_file).write_text(_as_json(translator, rows) + "\n", encoding="utf-8")
        except OSError as problem:
            return _failed(f"The JSON could not be written to {json_file}: {problem.strerror}.")
    return DONE


def _keep(folder, test_set, translations):
    folder.mkdir(parents=True, exist_ok=True)
    for search, lines in translations.items():
        name = f"{test_set}.{search.replace(' ', '_')}.txt"
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _print_table(rows, seconds):
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Scores, 0 to 100, higher is better ({seconds:.0f} s)")
    for name in ("test set", "text", "search"):
        table.add_column(name)
    for name in ("BLEU", "chrF"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.test_set, row.text, row.search, f"{row.bleu.score:.2f}", f"{row.chrf.score:.2f}")
    console = Console()
    console.print(table)
    for text in dict.fromkeys(row.text for row in rows):
        row = next(row for row in rows if row.text == text)
        console.print(f"BLEU, {text}: {row.bleu.signature}", soft_wrap=True, highlight=False)
    console.print(f"chrF: {rows[0].chrf.signature}", soft_wrap=True, highlight=False)


def _as_json(translator, rows):
    scores = [row._asdict() | {"bleu": row.bleu._asdict(), "chrf": row.chrf._asdict()} for row in rows]
    return json.dumps({"about": translator.about, "scores": scores}, indent=2, ensure_ascii=False)


def _failed(problem):
    print(problem, file=sys.stderr)
    return NOT_POSSIBLE
