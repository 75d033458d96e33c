"""The training loop: what an update is, what stops it, what it tells, and what resuming changes (nothing)."""

import math

import pytest
import torch
import torch.nn.functional as F
from small_runs import (
    END,
    PAD,
    START,
    always,
    batch,
    epoch_of_pairs,
    largest_difference,
    model,
    pairs,
    same_bits,
    settings,
    weights,
)

from clearformer.data.batches import Batches
from clearformer.training import loop
from clearformer.training.checkpoint import CheckpointError, list_checkpoints, load_checkpoint
from clearformer.training.loop import TrainingDiverged, evaluate, train
from clearformer.training.schedule import warmup_rate

EXACT = 1e-12  # the largest difference in float64


def run(this_model, batches=batch, show_progress=False, **options):
    changes = {name: options.pop(name) for name in list(options) if name in settings().to_dict()}
    return train(this_model, batches, settings(**changes), show_progress=show_progress, **options)


def joined(batches):
    """Batches as one, padded to the longest."""
    width = [max(batch[side].shape[1] for batch in batches) for side in (0, 1)]
    return tuple(
        torch.cat([F.pad(batch[side], (0, width[side] - batch[side].shape[1]), value=PAD) for batch in batches])
        for side in (0, 1)
    )


def largest_gradient_difference(*models):
    """After the last update."""
    gradients = [[parameter.grad for parameter in each.parameters()] for each in models]
    return max((a - b).abs().max().item() for a, b in zip(*gradients, strict=True))


# ---- what an update is


def test_training_is_what_a_loop_written_out_with_torch_s_own_parts_does():
    ours, theirs = model(seed=1), model(seed=1)
    report = run(ours, smoothing=0.1, clip_norm=0.5, max_steps=7)
    adam = torch.optim.Adam(theirs.parameters(), betas=(0.9, 0.98), eps=1e-9, fused=False, foreach=False)
    batches, losses = epoch_of_pairs(0) + epoch_of_pairs(1), []
    for step, (source_ids, target_ids) in enumerate(batches[:7], start=1):
        logits = theirs(source_ids, target_ids[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), target_ids[:, 1:].flatten(), ignore_index=PAD, label_smoothing=0.1)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        adam.param_groups[0]["lr"] = 0.01 * warmup_rate(step, 16, 4) / warmup_rate(4, 16, 4)
        adam.step()
        losses.append(loss.item())
    assert largest_difference(weights(ours), weights(theirs)) <= 1e-10  # Adam divides by the root of tiny numbers
    assert max(abs(a["loss"] - b) for a, b in zip(report.history, losses, strict=True)) <= 1e-10


def test_an_update_is_by_default_not_clipped_and_follows_the_paper_s_rate():
    history = run(model(), peak=None, warmup_steps=3).history
    assert [record["rate"] for record in history] == [warmup_rate(step, 16, 3) for step in range(1, 7)]


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_k_batches_accumulated_are_one_big_batch(k, clip_norm):
    """Their rows hold different numbers of real tokens: a mean of means would be another loss."""
    accumulated, big = model(seed=2), model(seed=2)
    reports = [
        run(accumulated, accumulation=k, clip_norm=clip_norm, max_steps=1),
        run(big, always(joined(epoch_of_pairs(0)[:k])), clip_norm=clip_norm, max_steps=1),
    ]
    assert largest_gradient_difference(accumulated, big) <= EXACT
    assert abs(reports[0].history[0]["loss"] - reports[1].history[0]["loss"]) <= EXACT


def test_each_batch_is_asked_for_once_and_in_order():
    asked = []

    def batches(number):
        asked.append(number)
        return batch(number)

    run(model(), batches, accumulation=3, max_steps=4)
    assert asked == list(range(12))


def test_padding_at_the_end_changes_nothing():
    padded, plain = model(seed=3), model(seed=3)
    run(plain, max_steps=1)
    source_ids, target_ids = batch(0)
    run(padded, always((F.pad(source_ids, (0, 3)), F.pad(target_ids, (0, 5)))), max_steps=1)
    assert largest_gradient_difference(padded, plain) <= EXACT


def test_the_same_seed_gives_the_same_bits_and_another_other_dropout():
    runs = []
    for seed in (4, 4, 5):
        torch.manual_seed(torch.seed())  # whatever was drawn before
        this_model = model(dropout=0.3)
        run(this_model, seed=seed)
        runs.append(weights(this_model))
    assert same_bits(runs[0], runs[1]) and not same_bits(runs[0], runs[2])


def test_a_frozen_weight_stays_as_it_is():
    this_model = model()
    this_model.encoder.requires_grad_(False)
    before = weights(this_model)
    run(this_model)
    changed = {name for name, tensor in weights(this_model).items() if not torch.equal(tensor, before[name])}
    assert changed and not any(name.startswith("encoder.") for name in changed)


def test_it_learns_to_turn_sequences_round():
    this_model = model(dtype=torch.float32, seed=0)
    options = dict(peak=0.02, warmup_steps=50, max_steps=300, smoothing=0.0, log_every=30)
    history = run(this_model, lambda number: batch(number, rows=32), **options).history
    assert history[-1]["loss"] < 0.5 < 2.0 < history[0]["loss"]


def test_bfloat16_trains_with_weights_in_float32():
    this_model, plain = model(dtype=torch.float32), model(dtype=torch.float32)
    seen = []
    this_model.decoder.layers[0].feed_forward.linear1.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    losses = [
        [r["loss"] for r in run(m, precision=p).history] for m, p in ((this_model, "bfloat16"), (plain, "float32"))
    ]
    assert seen[0] == torch.bfloat16 and all(p.dtype == torch.float32 for p in this_model.parameters())
    assert 0 < max(abs(a - b) for a, b in zip(*losses, strict=True)) < 0.05


def test_it_trains_on_the_batches_of_the_course():
    sources = [[4, 5], [6], [7, 8, 9], [4, 9], [5]]
    batches = Batches(sources, sources, max_tokens=8, seed=1)
    history = run(model(), batches.batch, max_steps=2 * len(batches), log_every=len(batches)).history
    assert len(history) == 2
    assert evaluate(model(), batches.epoch(0)) > 0


# ---- what it tells, and what stops it


def test_the_history_counts_every_step_s_tokens_once():
    every, each_third = run(model(seed=5), max_steps=9), run(model(seed=5), max_steps=9, log_every=3)
    batches = [batch for epoch in range(2) for batch in epoch_of_pairs(epoch)][:9]
    tokens = [(target_ids[:, 1:] != PAD).sum().item() for _, target_ids in batches]
    assert [record["step"] for record in each_third.history] == [3, 6, 9]
    for record in each_third.history:
        steps = range(record["step"] - 3, record["step"])
        mean = sum(tokens[s] * every.history[s]["loss"] for s in steps) / sum(tokens[s] for s in steps)
        assert abs(record["loss"] - mean) <= EXACT
    assert all(record["tokens_per_second"] > 0 for record in each_third.history)


def test_the_evaluation_is_the_mean_over_all_real_tokens():
    this_model, batches = model(dropout=0.5, seed=6), epoch_of_pairs(0)
    this_model.train()
    this_model.encoder.eval()
    found = evaluate(this_model, batches)
    assert this_model.training and not this_model.encoder.training
    source_ids, target_ids = joined(batches)
    logits = this_model.eval()(source_ids, target_ids[:, :-1])
    expected = F.cross_entropy(logits.flatten(0, 1), target_ids[:, 1:].flatten(), ignore_index=PAD)
    assert abs(found - expected) <= EXACT
    with pytest.raises(ValueError, match="at least one real target token"):
        evaluate(this_model, [])


def test_evaluations_do_not_change_the_training():
    quiet, looked_at = model(dropout=0.3), model(dropout=0.3)
    run(quiet)
    run(looked_at, evaluate_every=2, validation=epoch_of_pairs(99))
    assert same_bits(weights(quiet), weights(looked_at))


def test_it_stops_early_after_so_many_evaluations_without_a_better_one(monkeypatch):
    losses = iter([5.0, 4.0, 4.5, 3.0, 3.0, 3.1, 2.0])
    monkeypatch.setattr(loop, "evaluate", lambda *arguments: next(losses))
    report = run(model(), max_steps=50, evaluate_every=2, patience=2, validation=[1])
    assert (report.step, report.stopped, report.best_step, report.best_loss) == (12, "patience", 8, 3.0)
    assert [r["validation_loss"] for r in report.history if "validation_loss" in r] == [5.0, 4.0, 4.5, 3.0, 3.0, 3.1]


def test_it_stops_when_the_minutes_are_over():
    report = run(model(), max_steps=None, minutes=0.01)
    assert report.stopped == "minutes" and report.step >= 1 and 0.6 <= report.seconds < 10.0


def test_a_callback_sees_each_record_and_can_stop_it():
    seen = []

    def look(record):
        seen.append(record)
        return record["step"] == 3

    report = run(model(), max_steps=50, on_record=look)
    assert report.stopped == "callback" and report.step == 3 and seen == report.history
    seen[0]["loss"] = "scribbled"
    assert report.history[0]["loss"] != "scribbled"


def test_the_bar_says_steps_loss_speed_and_time_left(capsys):
    run(model(), show_progress=True, log_every=2)
    said = capsys.readouterr().err
    assert "6 of 6 steps, loss=" in said and "tokens/s=" in said and "left=0 s" in said
    run(model(), show_progress=True, max_steps=None, minutes=0.01)
    said = capsys.readouterr().err
    assert " of 1 s" in said and "left=" in said
    run(model())
    assert capsys.readouterr().err == ""


def test_a_loss_that_is_no_number_ends_it_and_is_not_saved(tmp_path):
    this_model = model()
    with torch.no_grad():
        this_model.output.weight[3, 0] = math.nan
    with pytest.raises(TrainingDiverged, match="the loss is nan at step 1: try a lower peak"):
        run(this_model, folder=tmp_path, save_every=1)
    assert list_checkpoints(tmp_path) == []
    with pytest.raises(TrainingDiverged, match="some weights are not finite, so nothing is saved, at step 1"):
        run(this_model, folder=tmp_path, save_every=1, log_every=100)
    assert list_checkpoints(tmp_path) == []


# ---- wrong arguments


@pytest.mark.parametrize(
    "wrong, says",
    [
        ((torch.ones(2, 3).long(), torch.ones(3, 3).long()), r"source_ids \(batch, S\).*got \(2, 3\) and \(3, 3\)"),
        ((torch.ones(2).long(), torch.ones(2, 3).long()), r"got \(2,\)"),
        ((torch.ones(2, 3).long(), torch.ones(2, 1).long()), "T at least 2"),
        ((torch.full((2, 3), 12), torch.ones(2, 3).long()), "source_ids must be ids from 0 to 11; got 12"),
        ((torch.ones(2, 3).long(), torch.full((2, 3), -1)), "target_ids must be ids from 0 to 11; got -1"),
    ],
)
def test_a_wrong_batch_is_named(wrong, says):
    with pytest.raises(ValueError, match=says):
        run(model(), always(wrong))


def test_arguments_that_cannot_work_are_named(tmp_path):
    with pytest.raises(ValueError, match="evaluate_every = 2 needs validation batches"):
        run(model(), evaluate_every=2)
    with pytest.raises(ValueError, match="precision = 'float16' needs a GPU"):
        run(model(), precision="float16")
    with pytest.raises(ValueError, match=r"no config\.d_model"):
        run(torch.nn.Linear(2, 2), peak=None)
    with pytest.raises(ValueError, match="resume needs a folder"):
        run(model(), resume=True)


def test_a_batch_of_padding_alone_updates_nothing_and_breaks_nothing():
    this_model = model()
    before = weights(this_model)
    empty = (torch.full((2, 3), 5), torch.tensor([[START, PAD, PAD]] * 2))
    run(this_model, always(empty), max_steps=1)
    assert same_bits(before, weights(this_model))


# ---- saving and resuming


def resumable(folder, max_steps, this_model=None, **changes):
    this_model = this_model or model(dropout=0.3, seed=7)
    options = dict(accumulation=2, save_every=2, evaluate_every=3, clip_norm=1.0, validation=epoch_of_pairs(99))
    report = run(this_model, folder=folder, resume=True, max_steps=max_steps, **(options | changes))
    return this_model, report


@pytest.fixture(scope="module", params=[1, 4])
def undisturbed_run(request, tmp_path_factory):
    """log_every, the folder, the model and the report of 11 steps in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return request.param, folder, *resumable(folder, 11, log_every=request.param)


@pytest.mark.parametrize("stops", [[1], [3], [5, 8], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
def test_stopped_and_resumed_gives_the_same_bits_and_the_same_story(tmp_path, undisturbed_run, stops):
    log_every, folder, undisturbed, story = undisturbed_run
    for stop in stops:
        resumable(tmp_path, stop, log_every=log_every)
        torch.rand(7)  # other things happen in between
    resumed, its_story = resumable(tmp_path, 11, log_every=log_every)
    assert same_bits(weights(undisturbed), weights(resumed))
    told = [[{k: v for k, v in r.items() if k not in ("seconds", "tokens_per_second")} for r in s.history]
            for s in (story, its_story)]  # fmt: skip
    assert told[0] == told[1]
    assert (story.best_step, story.best_loss) == (its_story.best_step, its_story.best_loss)
    files = [load_checkpoint(list_checkpoints(each)[-1]).tensors for each in (folder, tmp_path)]
    assert all(same_bits(files[0][name], files[1][name]) for name in files[0])


def test_a_resumed_run_asks_only_for_the_batches_that_are_left(tmp_path):
    asked = []

    def batches(number):
        asked.append(number)
        return batch(number)

    for max_steps in (2, 3):
        run(model(), batches, folder=tmp_path, resume=True, max_steps=max_steps, accumulation=2)
    assert asked == [0, 1, 2, 3, 4, 5]


def test_the_wall_clock_goes_on_where_it_was(tmp_path):
    run(model(), folder=tmp_path, max_steps=None, minutes=0.01)
    report = run(model(), folder=tmp_path, resume=True, max_steps=None, minutes=0.005)
    assert report.stopped == "minutes" and report.seconds >= 0.6
    assert len(list_checkpoints(tmp_path)) == 1


def test_a_run_that_is_over_is_over_also_when_resumed(tmp_path):
    this_model, report = resumable(tmp_path, 4)
    again, its_report = resumable(tmp_path, 4)
    assert same_bits(weights(this_model), weights(again)) and its_report.step == 4 and its_report.stopped == "max_steps"
    assert its_report.history == report.history


def test_the_last_k_and_the_best_are_kept(tmp_path, monkeypatch):
    losses = iter([5.0, 1.0, 3.0, 4.0, 4.0])
    monkeypatch.setattr(loop, "evaluate", lambda *arguments: next(losses))
    run(model(), folder=tmp_path, max_steps=10, save_every=1, keep_last=3, evaluate_every=2, validation=[1])
    assert [int(path.name[5:]) for path in list_checkpoints(tmp_path)] == [4, 8, 9, 10]


def test_without_save_every_there_is_one_at_the_end(tmp_path):
    run(model(), folder=tmp_path)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000006"]


@pytest.mark.parametrize(
    "name, value",
    [("accumulation", 3), ("peak", 0.02), ("warmup_steps", 5), ("betas", (0.9, 0.99)), ("eps", 1e-8), ("seed", 1),
     ("smoothing", 0.2), ("clip_norm", 2.0), ("precision", "bfloat16")],
)  # fmt: skip
def test_another_setting_that_changes_the_weights_is_refused_by_name(tmp_path, name, value):
    resumable(tmp_path, 2)
    with pytest.raises(
        CheckpointError, match=f"step-00000002 was made with another configuration: settings.{name} is "
    ):
        resumable(tmp_path, 4, **{name: value})


def test_another_model_is_refused_by_the_field_that_differs(tmp_path):
    resumable(tmp_path, 2)
    with pytest.raises(CheckpointError, match=r"model\.dropout is 0.3 there and 0.0 here"):
        resumable(tmp_path, 4, model(dropout=0.0))
    with pytest.raises(CheckpointError, match=r"model\.norm is 'post' there and 'pre' here"):
        resumable(tmp_path, 4, model(dropout=0.3, norm="pre"))
    with pytest.raises(CheckpointError, match=r"float64 .* there and torch\.float32 .* here"):
        resumable(tmp_path, 4, model(dropout=0.3, dtype=torch.float32))


def test_settings_that_only_say_when_to_stop_look_or_save_may_change(tmp_path):
    resumable(tmp_path, 2)
    _, report = resumable(tmp_path, 4, save_every=1, keep_last=1, evaluate_every=None, log_every=2)
    assert report.step == 4


def test_a_folder_with_checkpoints_is_not_trained_into_by_accident(tmp_path):
    run(model(), folder=tmp_path)
    with pytest.raises(CheckpointError, match="holds checkpoints already"):
        run(model(), folder=tmp_path)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    def second(record):
        with pytest.raises(CheckpointError, match="another run is training in"):
            run(model(), folder=tmp_path, resume=True)

    run(model(), folder=tmp_path, on_record=second, max_steps=1)


def test_a_folder_that_cannot_be_made_is_named_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="folder cannot be written: Not a directory"):
        run(model(), folder=tmp_path / "file" / "folder")


def test_targets_are_read_as_start_to_end():
    """Each token is told from those before it: the start is never asked for, the end always."""
    asked = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.zeros(12))

        def forward(self, source_ids, target_ids):
            asked.append(target_ids.tolist())
            return self.table.expand(*target_ids.shape, 12)

    spy = Spy()
    run(spy, always(pairs([1])), max_steps=1, smoothing=0.0)
    (start, token, *rest) = asked[0][0]
    assert start == START and rest == []
    assert spy.table.grad[[token, END]].max() < 0 < spy.table.grad[START]
