"""BLEU by hand against sacreBLEU, and sacreBLEU's own scores with their signatures."""

import math
import random

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from clearformer.evaluation import bleu, chrf, corpus_bleu

TOLERANCE = 1e-9  # of 100: both compute in float64, in another order
property_test = settings(deadline=None, max_examples=300, derandomize=True, database=None)
tokens = st.lists(st.sampled_from(["der", "die", "Hund", "Katze", ".", "sieht"]), max_size=9)
pairs = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=6)


def oracle(hypotheses, references):
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    lines = [[" ".join(sentence) for sentence in side] for side in (hypotheses, references)]
    return metric.corpus_score(lines[0], [lines[1]]).score


@property_test
@given(pairs)
def test_corpus_bleu_is_sacrebleus(pairs):
    hypotheses, references = [list(side) for side in zip(*pairs, strict=True)]
    assert abs(corpus_bleu(hypotheses, references) - oracle(hypotheses, references)) <= TOLERANCE


@property_test
@given(st.lists(tokens.filter(lambda row: len(row) > 3), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_corpus_bleu_is_sacrebleus_where_much_is_right(references, draw):
    hypotheses = [[draw.choice(row) if draw.random() < 0.2 else word for word in row] for row in references]
    hypotheses = [row[: len(row) - draw.randint(0, 2)] for row in hypotheses]
    assert abs(corpus_bleu(hypotheses, references) - oracle(hypotheses, references)) <= TOLERANCE


def test_corpus_bleu_is_sacrebleus_on_a_long_corpus():
    draw = random.Random(0)
    words = [f"w{number}" for number in range(200)]
    references = [draw.choices(words, k=draw.randint(1, 40)) for _ in range(500)]
    hypotheses = [[draw.choice(words) if draw.random() < 0.3 else word for word in row] for row in references]
    assert 10 < corpus_bleu(hypotheses, references) < 60
    assert abs(corpus_bleu(hypotheses, references) - oracle(hypotheses, references)) <= TOLERANCE


def test_a_score_worked_out_by_hand():
    hypothesis, reference = ["the", "cat", "sat", "on", "the", "mat"], ["the", "cat", "is", "on", "the", "mat"]
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples, 0 of 3 quadruples
    assert corpus_bleu([hypothesis], [reference]) == 0.0
    longer = (
        ["the", "cat", "sat", "on", "the", "mat", "today", "."],
        ["the", "cat", "is", "on", "the", "mat", "today", "."],
    )
    expected = 100 * (7 / 8 * 5 / 7 * 3 / 6 * 2 / 5) ** 0.25
    assert corpus_bleu([longer[0]], [longer[1]]) == pytest.approx(expected, abs=TOLERANCE)


def test_a_short_translation_pays_the_brevity_penalty():
    reference = ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert corpus_bleu([reference[:6]], [reference]) == pytest.approx(100 * math.exp(1 - 8 / 6), abs=TOLERANCE)
    assert corpus_bleu([[*reference, "x"]], [reference]) < 100  # a longer one pays by precision, not by the penalty


def test_a_word_said_twice_counts_once():
    reference = ["a", "b", "c", "d", "e"]
    stutter = ["a", "b", "c", "d", "e", "e"]
    expected = 100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25
    assert corpus_bleu([stutter], [reference]) == pytest.approx(expected, abs=TOLERANCE)


def test_the_corpus_is_counted_as_a_whole_and_not_sentence_by_sentence():
    good, bad = (["a", "b", "c", "d"], ["a", "b", "c", "d"]), (["x", "y"], ["p", "q"])
    whole = corpus_bleu([good[0], bad[0]], [good[1], bad[1]])
    mean = (corpus_bleu([good[0]], [good[1]]) + corpus_bleu([bad[0]], [bad[1]])) / 2
    assert whole > 0 and abs(whole - mean) > 1


@pytest.mark.parametrize(
    ("hypotheses", "references"),
    [([], []), ([[]], [["a"]]), ([["a"]], [[]]), ([[]], [[]]), ([["a", "b", "c"]], [["a", "b", "c"]])],
)
def test_nothing_to_count_is_zero(hypotheses, references):
    assert corpus_bleu(hypotheses, references) == 0.0


def test_a_perfect_translation_has_100():
    sentences = [["ein", "alter", "Hund", "schläft"], ["ja"]]
    assert corpus_bleu(sentences, sentences) == pytest.approx(100, abs=TOLERANCE)


def test_the_lists_are_not_changed():
    hypotheses, references = [["a", "b", "c", "d"]], [["a", "b", "c", "e"]]
    corpus_bleu(hypotheses, references)
    assert hypotheses == [["a", "b", "c", "d"]] and references == [["a", "b", "c", "e"]]


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="1 hypotheses and 2 references"):
        corpus_bleu([["a"]], [["a"], ["b"]])


def test_a_string_in_place_of_tokens_is_refused():
    with pytest.raises(ValueError, match="list of tokens; got the string 'a cat'"):
        corpus_bleu(["a cat"], [["a", "cat"]])


LINES = ["Der Hund schläft im Garten.", "Zwei Männer, die lachen.", "A b c d e f g!"]
GUESSES = ["Der Hund schläft in dem Garten.", "Zwei Männer, die lachen.", "A b c d e f h!"]


def test_bleu_and_chrf_are_sacrebleus_with_its_signature():
    assert bleu(GUESSES, LINES).score == sacrebleu.corpus_bleu(GUESSES, [LINES]).score
    assert chrf(GUESSES, LINES).score == sacrebleu.corpus_chrf(GUESSES, [LINES]).score
    version = sacrebleu.__version__
    assert bleu(GUESSES, LINES).signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"
    assert "tok:none" in bleu(GUESSES, LINES, tokenised=True).signature
    assert chrf(GUESSES, LINES).signature == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}"


def test_tokenised_text_is_not_split_again():
    hypotheses, references = ["a don't b c d e"], ["a don't b c d f"]
    expected = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score
    assert bleu(hypotheses, references, tokenised=True).score == expected
    apart, together = ["ein alter hund schläft ."], ["ein alter hund schläft."]
    assert bleu(apart, together).score == pytest.approx(100)
    assert bleu(apart, together, tokenised=True).score < 80


def test_a_score_reads_as_number_and_signature():
    assert str(bleu(LINES, LINES)).startswith("100.00 (nrefs:1|")


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_scores_refuse_what_sacrebleu_would_take_wrongly(metric):
    with pytest.raises(ValueError, match="1 hypotheses and 3 references"):
        metric(["a"], LINES)
    with pytest.raises(ValueError, match="at least one"):
        metric([], [])
    with pytest.raises(ValueError, match="references must be lines of text; number 0 is"):
        metric(["a"], [["a"]])


def test_importing_it_needs_the_standard_library_alone():
    import subprocess
    import sys

    code = "import sys, clearformer.evaluation; print({'numpy', 'torch', 'sacrebleu'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
