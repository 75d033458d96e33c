import json

import pytest

from clearformer.plots.translation_results import translation_results


def run(seed, bleu, data_set="tiny_translation", device="2 cores", text="plain", minutes=3.0):
    score = {"test_set": "test", "text": "plain", "search": "greedy"}
    score |= {"bleu": {"score": bleu, "signature": "s"}, "chrf": {"score": bleu + 1, "signature": "s"}}
    return dict(data_set=data_set, text=text, seed=seed, minutes=minutes, device=device, scores=[score])


@pytest.fixture
def stored(tmp_path):
    def write(*runs):
        path = tmp_path / "translation.json"
        path.write_text(json.dumps({"runs": runs}), encoding="utf-8")
        return path

    return write


def test_seeds_make_one_row_with_their_mean_and_their_spread(stored):
    path = stored(run(0, 95.0, minutes=2.0), run(1, 97.0, minutes=4.0), run(2, 96.6))
    (cells,) = translation_results(path, "tiny_translation").cells
    assert cells == ["unseen combinations", "plain", "greedy", "2 cores", "3", "3", "96.2 (95.0 to 97.0)",
                     "97.2 (96.0 to 98.0)"]  # fmt: skip


def test_other_machines_and_other_texts_are_rows_of_their_own(stored):
    path = stored(
        run(0, 30.0, "multi30k"), run(0, 40.0, "multi30k", "a GPU"), run(0, 41.0, "multi30k", text="tokenised")
    )
    found = translation_results(path, "multi30k").cells
    assert [(row[3], row[5], row[6]) for row in found] == [
        ("2 cores", "1", "30.0"), ("a GPU", "1", "40.0"), ("2 cores, tokenised text", "1", "41.0")
    ]  # fmt: skip


def test_runs_on_other_data_are_left_out(stored):
    path = stored(run(0, 95.0), run(0, 30.0, "multi30k"))
    assert [row[6] for row in translation_results(path, "multi30k").cells] == ["30.0"]


def test_where_nothing_is_stored_the_table_says_so(stored, tmp_path):
    for path in (stored(run(0, 95.0)), tmp_path / "no.json"):
        assert "holds no run on multi30k" in repr(translation_results(path, "multi30k"))
