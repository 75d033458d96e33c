"""The tokenizer: what goes in comes out, no text writes a special id, only the given lines are learnt from."""

import json
import os
import subprocess
import sys
import unicodedata

import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearformer.data import tiny_translation
from clearformer.data.tokenizer import END_ID, PAD_ID, SPECIAL_TOKENS, START_ID, UNKNOWN_ID, UNKNOWN_MARK, Tokenizer

property_test = settings(deadline=None, max_examples=300, derandomize=True, database=None)
LINES = [line for pair in tiny_translation.load("train") for line in pair]
ALPHABET = "".join(sorted({mark for line in LINES for mark in line}))


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(LINES, 1000)


def test_special_tokens_have_their_ids(tokenizer):
    assert (PAD_ID, START_ID, END_ID, UNKNOWN_ID) == (0, 1, 2, 3)
    assert tuple(tokenizer.pieces[:4]) == SPECIAL_TOKENS
    assert tokenizer.vocab_size == len(tokenizer.pieces) == len(set(tokenizer.pieces)) == 1000


def test_every_line_comes_back(tokenizer):
    ids = tokenizer.encode_batch(LINES)
    assert tokenizer.decode_batch(ids) == LINES
    assert not any(number <= UNKNOWN_ID for row in ids for number in row)
    assert sum(map(len, ids)) < 0.4 * sum(map(len, LINES))  # pieces, not letters


def test_lines_it_never_saw_come_back_too(tokenizer):
    lines = [line for pair in tiny_translation.load("test") for line in pair]
    assert tokenizer.decode_batch(tokenizer.encode_batch(lines)) == lines


@property_test
@given(text=st.text(ALPHABET, max_size=60))
def test_any_text_in_known_letters_comes_back(tokenizer, text):
    tidy = " ".join(text.split())
    ids = tokenizer.encode(text)
    assert UNKNOWN_ID not in ids
    assert tokenizer.decode(ids) == tokenizer.normalise(text) == tidy


@property_test
@given(text=st.text(max_size=40))
def test_any_text_at_all_comes_back_but_for_unknown_characters(tokenizer, text):
    unknown = set(tokenizer.unknown_characters(text))
    expected = "".join(UNKNOWN_MARK if mark in unknown else mark for mark in tokenizer.normalise(text))
    ids = tokenizer.encode(text)
    assert all(UNKNOWN_ID <= number < tokenizer.vocab_size for number in ids)
    decoded = tokenizer.decode(ids)
    assert decoded.replace(UNKNOWN_MARK, "") == expected.replace(UNKNOWN_MARK, "")
    assert (UNKNOWN_ID in ids) == bool(unknown) == (UNKNOWN_MARK in decoded)


def test_unknown_characters_are_named_and_become_the_unknown_id(tokenizer):
    assert tokenizer.unknown_characters("Der 日 Hund 日本") == ["日", "本"]
    assert tokenizer.decode(tokenizer.encode("Der 日 Hund.")) == f"Der {UNKNOWN_MARK} Hund."


def test_no_text_can_write_a_special_token(tokenizer):
    known = Tokenizer.train([*LINES, "<pad> <start> <end> <unknown>"], 1000)
    for text in SPECIAL_TOKENS:
        assert min(known.encode(text)) > UNKNOWN_ID
        assert known.decode(known.encode(text)) == text
        assert not {PAD_ID, START_ID, END_ID} & set(tokenizer.encode(f"Der {text} Hund"))


def test_an_empty_text_is_an_empty_list(tokenizer):
    assert tokenizer.encode("") == tokenizer.encode(" \t\n ") == []
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode_batch([]) == [] and tokenizer.decode_batch([]) == []
    assert tokenizer.encode_batch(["", "Hund"])[0] == []


def test_a_very_long_text_comes_back(tokenizer):
    text = " ".join(["Der alte Hund schläft."] * 5000)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_letters_with_marks_are_composed(tokenizer):
    split = unicodedata.normalize("NFD", "Großmütter schläft")
    assert tokenizer.encode(split) == tokenizer.encode("Großmütter schläft")


def test_a_batch_is_the_same_as_one_by_one(tokenizer):
    assert tokenizer.encode_batch(LINES[:200]) == [tokenizer.encode(line) for line in LINES[:200]]


def test_decoding_ends_at_the_first_end_and_leaves_out_padding_and_start(tokenizer):
    ids = tokenizer.encode("Der Hund.")
    assert tokenizer.decode([START_ID, *ids, END_ID, *ids]) == "Der Hund."
    rows = torch.tensor([[START_ID, *ids, END_ID, PAD_ID], [START_ID, *ids, PAD_ID, PAD_ID]])
    assert tokenizer.decode_batch(rows) == ["Der Hund."] * 2
    assert "".join(tokenizer.to_pieces(ids)).replace("▁", " ") == " Der Hund."


@pytest.mark.parametrize("number", [-1, 1000, 10**9])
def test_an_id_out_of_range_is_refused_by_name(tokenizer, number):
    with pytest.raises(ValueError, match=f"from 0 to 999; got {number}"):
        tokenizer.decode([5, number])


def test_words_are_whole_and_punctuation_stands_alone(tokenizer):
    assert tokenizer.to_pieces(tokenizer.encode("Der Hund, die Hexe.")) == ["▁Der", "▁Hund", ",", "▁die", "▁Hexe", "."]
    assert not [piece for piece in tokenizer.pieces[4:] if len(piece) > 2 and any(mark in piece for mark in ",.?")]


def test_pieces_of_tokenised_text_keep_their_space():
    tokenized = Tokenizer.train(["ein hund &apos;s ball , zwei &quot; bälle ."] * 3, 200)
    assert tokenized.to_pieces(tokenized.encode("ein hund , &apos;s ball .")) == [
        "▁ein",
        "▁hund",
        "▁,",
        "▁&apos;",
        "s",
        "▁ball",
        "▁.",
    ]


def test_only_the_given_lines_are_learnt_from():
    small = Tokenizer.train(["aaa bbb", "aaa"], 20)
    assert set("".join(small.pieces[4:])) == {"a", "b", "▁"}


def test_the_order_of_the_lines_does_not_matter():
    assert Tokenizer.train(LINES[:2000], 500).to_json() == Tokenizer.train(LINES[:2000][::-1], 500).to_json()


def test_training_is_the_same_in_another_process(tokenizer, tmp_path):
    code = (
        "import sys; from clearformer.data import tiny_translation as t\n"
        "from clearformer.data.tokenizer import Tokenizer\n"
        "Tokenizer.train((line for pair in t.load('train') for line in pair), 1000).save(sys.argv[1])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "t.json"], check=True, env=environment)
    assert (tmp_path / "t.json").read_text(encoding="utf-8") == tokenizer.to_json()


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.pieces == tokenizer.pieces
    assert loaded.encode_batch(LINES[:500]) == tokenizer.encode_batch(LINES[:500])
    assert loaded.decode(loaded.encode("Der 日 <end>")) == tokenizer.decode(tokenizer.encode("Der 日 <end>"))
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_hugging_faces_library_reads_the_file_and_gives_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert [theirs.encode(line).ids for line in LINES[:300]] == tokenizer.encode_batch(LINES[:300])


def test_a_save_that_fails_leaves_the_old_file(tokenizer, tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Tokenizer.train(["other words"], 50).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_something_else_is_refused_by_name(tokenizer, tmp_path):
    path = tmp_path / "half.json"
    for content in ("", "{}", "not json", tokenizer.to_json()[:5000], json.dumps({"model": 3})):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=r"half\.json is not a tokenizer of this course"):
            Tokenizer.load(path)
    foreign = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    foreign.save(str(path))
    with pytest.raises(ValueError, match="its first pieces should be"):
        Tokenizer.load(path)
    with pytest.raises(FileNotFoundError):
        Tokenizer.load(tmp_path / "nothing.json")


def test_a_vocabulary_without_room_for_the_letters_is_refused():
    with pytest.raises(ValueError, match="vocab_size must be at least 9, one for each character; got 8"):
        Tokenizer.train(["abcd d"], 8)
    assert Tokenizer.train(["abcd d"], 9).vocab_size == 9


def test_one_string_in_place_of_lines_is_refused(tokenizer):
    with pytest.raises(ValueError, match="list of lines; got one string"):
        Tokenizer.train("Der Hund", 100)
    with pytest.raises(ValueError, match="use encode"):
        tokenizer.encode_batch("Der Hund")


def test_importing_it_does_not_load_the_library():
    code = "import sys; import clearformer.data.tokenizer; print('tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
