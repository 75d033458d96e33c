"""The command `clearformer`: data, train, translate, evaluate."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from clearformer import cli
from clearformer.translator import Translator

RECIPE = """
[data]
name = "tiny_translation"
vocab_size = 200
[model]
preset = "toy"
d_model = 16
num_heads = 2
d_ff = 32
num_encoder_layers = 1
num_decoder_layers = 1
[training]
max_steps = 4
batch_tokens = 400
peak = 0.01
warmup_steps = 2
log_every = 1
save_every = 1
average = 2
[decoding]
beam_size = 2
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEARFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CLEARFORMER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of four steps."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "small.toml").write_text(RECIPE)
    done = run("train", folder / "small.toml", "--into", folder / "run")
    assert done.exit_code == 0, done.output
    return folder / "run"


def run(*arguments, **how):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments], **how)


def weights(folder):
    return (folder / "translator" / "model.safetensors").read_bytes()


# --- train ---------------------------------------------------------------------------------------------------


def test_training_makes_a_translator_and_says_what_comes_next(trained):
    history = json.loads((trained / "history.json").read_text())
    assert [record["step"] for record in history] == [1, 2, 3, 4]
    translator = Translator.load(trained)
    assert translator.about["steps"] == 4 and translator.about["averaged_checkpoints"] == 2
    assert translator.about["recipe"]["name"] == "small"
    assert isinstance(translator.translate(["The dog sleeps."])[0], str)


def test_stopped_and_resumed_is_the_same_training(trained, recipe, tmp_path):
    assert run("train", recipe, "--into", "mine", "--steps", 2).exit_code == 0
    assert weights(tmp_path / "mine") != weights(trained)
    done = run("train", recipe, "--into", "mine", "--resume")
    assert done.exit_code == 0 and "4 steps" in done.output
    assert weights(tmp_path / "mine") == weights(trained)


def test_another_seed_is_another_training(trained, recipe, tmp_path):
    assert run("train", recipe, "--into", "mine", "--seed", 1).exit_code == 0
    assert weights(tmp_path / "mine") != weights(trained)


def test_a_folder_that_holds_a_run_is_not_written_over(trained, recipe):
    before = weights(trained)
    done = run("train", recipe, "--into", trained)
    assert done.exit_code == 2 and "--resume" in done.output
    assert weights(trained) == before


def test_runs_are_kept_under_the_name_of_their_recipe(recipe, tmp_path):
    assert run("train", recipe, "--steps", 1).exit_code == 0
    assert (tmp_path / "runs" / "small" / "translator").is_dir()


def test_resuming_with_another_recipe_is_refused_and_the_difference_named(recipe):
    assert run("train", recipe, "--into", "mine", "--steps", 1).exit_code == 0
    recipe.write_text(RECIPE.replace("d_ff = 32", "d_ff = 64"))
    done = run("train", recipe, "--into", "mine", "--resume")
    assert done.exit_code == 2 and "d_ff" in done.output


@pytest.mark.parametrize(
    "text, message",
    [(RECIPE.replace("peak", "peek"), "peek"), ("[data", "no TOML file"), (RECIPE.replace("toy", "big"), "big")],
)
def test_a_wrong_recipe_ends_with_2_and_what_is_wrong(recipe, text, message):
    recipe.write_text(text)
    done = run("train", recipe)
    assert done.exit_code == 2 and message in done.output and "small.toml" in done.output


def test_an_unknown_recipe_ends_with_2_and_those_there_are():
    done = run("train", "wmt14")
    assert done.exit_code == 2 and "tiny_translation" in done.output


def test_multi30k_that_is_not_there_is_told_how_to_get():
    done = run("train", "multi30k")
    assert done.exit_code == 2 and "clearformer data multi30k" in done.output


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(recipe, trained, tmp_path):
    command = [sys.executable, "-m", "clearformer.cli", "train", str(recipe), "--into", "mine", "--steps", "1000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}) as it:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("mine/checkpoints/step-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        it.send_signal(signal.SIGINT)
        said = it.communicate(timeout=60)[1]
    assert it.returncode == 130 and "--resume" in said and "Traceback" not in said
    assert run("train", recipe, "--into", "mine", "--resume", "--steps", 4).exit_code == 0


# --- translate -----------------------------------------------------------------------------------------------


def test_texts_are_translated_a_line_each(trained):
    done = run("translate", "--model", trained, "The dog sleeps.", "The cat sleeps.")
    assert done.exit_code == 0
    assert done.stdout == "".join(line + "\n" for line in translations(trained, "The dog sleeps.", "The cat sleeps."))


def test_lines_of_the_standard_input_are_translated(trained):
    done = run("translate", "--model", trained, input="The dog sleeps.\n\nThe cat sleeps.\n")
    assert done.stdout.split("\n") == [*translations(trained, "The dog sleeps.", "", "The cat sleeps."), ""]


def test_characters_that_it_cannot_see_are_named_apart_from_the_translation(trained):
    done = run("translate", "--model", trained, "The 犬 sleeps.")
    assert done.exit_code == 0 and "犬" in done.stderr and "犬" not in done.stdout


def test_a_sentence_that_is_too_long_ends_with_2(trained):
    done = run("translate", "--model", trained, "dog " * 10_000)
    assert done.exit_code == 2 and "256 tokens" in done.stderr and len(done.stderr) < 300


def test_a_folder_without_a_translator_ends_with_2(tmp_path):
    done = run("translate", "--model", tmp_path, "A dog.")
    assert done.exit_code == 2 and "no translator" in done.stderr


def translations(folder, *texts):
    return Translator.load(folder).translate(list(texts))


# --- evaluate ------------------------------------------------------------------------------------------------


@pytest.fixture
def short_test_set(monkeypatch):
    from clearformer.data import tiny_translation

    pairs = tiny_translation.load("test")[:6]
    monkeypatch.setattr("clearformer.data.tiny_translation.load", lambda split: pairs)


def test_scores_are_printed_with_their_signatures(trained, short_test_set):
    done = run("evaluate", "--model", trained)
    assert done.exit_code == 0, done.output
    assert "greedy" in done.stdout and "beam 2" in done.stdout
    assert "tok:13a" in done.stdout and "nrefs:1" in done.stdout


def test_scores_can_be_had_as_json_and_translations_be_kept(trained, short_test_set, tmp_path):
    done = run("evaluate", "--model", trained, "--json", "-", "--keep", "kept")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [score["search"] for score in result["scores"]] == ["greedy", "beam 2"]
    assert result["about"]["recipe"]["name"] == "small"
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["test.beam_2.txt", "test.greedy.txt"]
    assert (tmp_path / "kept" / "test.greedy.txt").read_text().count("\n") == 6


def test_an_unknown_test_set_ends_with_2_and_those_there_are(trained):
    done = run("evaluate", "--model", trained, "--set", "test_2016")
    assert done.exit_code == 2 and "there are test" in done.stderr


# --- data ----------------------------------------------------------------------------------------------------


def test_data_that_is_nowhere_ends_with_2_and_the_file(tmp_path):
    done = run("data", "multi30k", "--from", tmp_path)
    assert done.exit_code == 2 and "train.en.gz" in done.stderr


@pytest.mark.parametrize("command", ["train", "translate", "evaluate", "data"])
def test_help_teaches_by_an_example(command):
    arguments = [command, "multi30k", "--help"] if command == "data" else [command, "--help"]
    done = run(*arguments)
    assert done.exit_code == 0 and "Example: clearformer" in done.output and "Exit status" in done.output
