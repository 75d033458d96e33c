"""The training loop: from batches of pairs to a trained model, which may be stopped at any moment and go on."""

import contextlib
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from clearformer.training import checkpoint as checkpoints
from clearformer.training.checkpoint import CheckpointError
from clearformer.training.data_parallel import OneProcess
from clearformer.training.loss import summed_loss
from clearformer.training.progress import progress_bar
from clearformer.training.randomness import random_state, restore_random_state, set_seeds
from clearformer.training.schedule import WarmupSchedule


class TrainingDiverged(Exception):
    """The loss or a weight is no longer a finite number; the message says at which step, and what may help."""


@dataclass
class TrainingReport:
    """How a run went. Of a resumed run it tells the whole, from the first step.

    history: a dict for each record: step, loss (mean over the real tokens since the record before), rate (of the
    step's update), tokens_per_second, seconds (since the start), and after an evaluation validation_loss.
    """

    step: int = 0
    seconds: float = 0.0
    stopped: str = ""  # "max_steps", "minutes", "patience" or "callback"
    best_step: int | None = None
    best_loss: float | None = None
    evaluations_since_best: int = 0
    history: list = field(default_factory=list)


def train(model, batches, settings, **options):
    """Train a model and return the TrainingReport; arguments as in Trainer.

    train(model, Batches(sources, targets, max_tokens=4096).batch, TrainingSettings(max_steps=1000))
    """
    trainer = Trainer(model, batches, settings, **options)
    return trainer.run()


def evaluate(model, batches, precision="float32", processes=None):
    """Mean cross-entropy over the real target tokens of all batches, in nats, without smoothing and dropout.

    Its exponential is the perplexity. batches: pairs (source_ids, target_ids) as in Trainer. The model's mode is put
    back. ValueError where there is no real token.
    """
    processes = processes or OneProcess()
    pad_id = _pad_id(model)
    device = next(model.parameters()).device
    sums = torch.zeros(2, dtype=_sum_dtype(device), device=device)  # loss, tokens
    were_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            for source_ids, target_ids in batches:
                mine = processes.rows(source_ids), processes.rows(target_ids)
                if len(mine[0]):
                    loss, tokens = _forward(model, *mine, device, precision, 0.0, pad_id)
                    sums += torch.stack([loss.to(sums.dtype), tokens.to(sums.dtype)])
    finally:
        for module in were_training:
            module.training = True
    processes.add_up([sums])
    loss, tokens = sums.tolist()
    if not tokens:
        raise ValueError("batches must hold at least one real target token; got none")
    return loss / tokens


class Trainer:
    """Trains one model by the recipe of the 2017 paper.

    model          called as model(source_ids, target_ids) it returns logits (batch, T, vocab); on its device. Its
                   config, if it has one, tells pad_id (else 0), vocab_size and d_model, and is compared on resuming.
    batches        a function: batches(number) gives batch `number` since training began, counted from 0 and the same
                   each time: (source_ids (batch, S), target_ids (batch, T)), whole numbers on the CPU, each target from
                   start_id to end_id, padded. The method `batch` of clearformer.data.batches.Batches is one.
    settings       TrainingSettings
    validation     a list of batches, for `evaluate_every`
    folder         where checkpoints go; None: nowhere
    resume         go on from the newest whole checkpoint in the folder, or begin where there is none. Without it a
                   folder that holds checkpoints is refused.
    on_record      called with each record of TrainingReport.history; training stops when it returns True
    show_progress  a progress bar
    processes      what join_processes returned; None: this process alone

    The loss is the mean over the real tokens of all batches of an update, however they are split.
    """

    def __init__(self, model, batches, settings, *, validation=None, folder=None, resume=False, on_record=None,
                 show_progress=True, processes=None):  # fmt: skip
        self.model, self.batches, self.settings, self.validation = model, batches, settings, validation
        self.folder = None if folder is None else Path(folder)
        self.resume, self.on_record, self.show_progress = resume, on_record, show_progress
        self.processes = processes or OneProcess()
        self.device = next(model.parameters()).device
        self.pad_id = _pad_id(model)
        self.report = TrainingReport()
        self.position = 0  # batches that are done
        self.pace = _Pace(self.device)
        self._require_arguments()
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(
            self.parameters, lr=1.0, betas=settings.betas, eps=settings.eps, fused=self.device.type in ("cpu", "cuda")
        )
        d_model = getattr(getattr(model, "config", None), "d_model", 1)  # with a peak it does not matter
        self.schedule = WarmupSchedule(self.optimizer, d_model, settings.warmup_steps, settings.scale, settings.peak)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "float16")

    def run(self):
        """Train until one of the settings says stop, and return the report."""
        with self._folder_for_itself():
            self._begin()
            shown = self.show_progress and self.processes.rank == 0
            bar = progress_bar(self.settings.max_steps, 60 * (self.settings.minutes or 0), shown)
            try:
                self._run(bar)
            finally:
                bar.close()
        return self.report

    def _run(self, bar):
        report, settings = self.report, self.settings
        bar.start_at(report.step, report.seconds)
        clock = _Clock(report.seconds)
        self.pace.begin(clock)
        self.model.train()
        report.stopped = self._reason_to_stop(clock, asked=False)
        while not report.stopped:
            rate = self.schedule.get_last_lr()[0]
            self.pace.add(*self._update(self._next_group()))
            report.step += 1
            asked = False
            if self._is_due(settings.log_every) or self._is_due(settings.evaluate_every):
                record = self._record(rate)
                if self.on_record and self.processes.rank == 0:
                    asked = bool(self.on_record(dict(record)))
                bar.show(record)
            report.seconds = clock.seconds()
            bar.move_to(report.step, report.seconds)
            report.stopped = self._reason_to_stop(clock, asked)
            is_best = self._is_due(settings.evaluate_every) and report.best_step == report.step
            if self._is_due(settings.save_every) or is_best or report.stopped:
                self._save()

    def _update(self, group):
        """One step of the optimiser from a group of batches; (summed loss, real tokens)."""
        tokens = sum(int((target_ids[:, 1:] != self.pad_id).sum()) for _, target_ids in group)
        total = torch.zeros((), dtype=_sum_dtype(self.device), device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        for source_ids, target_ids in group:
            mine = self.processes.rows(source_ids), self.processes.rows(target_ids)
            if len(mine[0]):
                loss, _ = _forward(
                    self.model, *mine, self.device, self.settings.precision, self.settings.smoothing, self.pad_id
                )
                self.scaler.scale(loss / max(tokens, 1)).backward()
                total += loss.detach()
        self.processes.add_up_gradients(self.parameters)
        self.processes.add_up([total])
        if self.settings.clip_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        if tokens:
            scale = self.scaler.get_scale()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.scaler.get_scale() >= scale:  # otherwise the gradients overflowed and there was no update
                self.schedule.step()
        return total, tokens

    def _next_group(self):
        """The batches of the next update; the position moves behind them."""
        first, self.position = self.position, self.position + self.settings.accumulation
        group = [self.batches(number) for number in range(first, self.position)]
        for source_ids, target_ids in group:
            _require_batch(source_ids, target_ids, getattr(self.model, "config", None))
        return group

    def _is_due(self, every):
        return every is not None and self.report.step % every == 0

    def _record(self, rate):
        """Add to the history, after an evaluation where one is due."""
        report, pace = self.report, self.pace
        loss, tokens_per_second = pace.read()
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        record = {"step": report.step, "loss": loss, "rate": rate, "tokens_per_second": tokens_per_second}
        if self._is_due(self.settings.evaluate_every):
            pace.pause()
            found = evaluate(self.model, self.validation, self.settings.precision, self.processes)
            record["validation_loss"] = found
            report.evaluations_since_best += 1
            if report.best_loss is None or found < report.best_loss:
                report.best_step, report.best_loss, report.evaluations_since_best = report.step, found, 0
            pace.go_on()
        record["seconds"] = pace.clock.seconds()
        report.history.append(record)
        return record

    def _diverged(self, how):
        help = "try a lower peak or scale, more warmup_steps, or clip_norm = 1"
        return TrainingDiverged(f"{how} at step {self.report.step}: {help}")

    def _reason_to_stop(self, clock, asked):
        settings, reasons = self.settings, ["", "max_steps", "patience", "minutes", "callback"]
        reason = ""
        if settings.max_steps is not None and self.report.step >= settings.max_steps:
            reason = "max_steps"
        elif settings.patience is not None and self.report.evaluations_since_best >= settings.patience:
            reason = "patience"
        elif settings.minutes is not None and clock.seconds() >= 60 * settings.minutes:
            reason = "minutes"
        elif asked:
            reason = "callback"
        # one clock and one callback decide for all
        return reasons[self.processes.from_first(reasons.index(reason))]

    def _begin(self):
        """Start from the seed, or take up the newest checkpoint."""
        set_seeds(self.settings.seed, self.processes.rank)
        self.processes.share_weights(self.model)
        found = None
        if self.folder is not None and checkpoints.list_checkpoints(self.folder):
            if not self.resume:
                raise CheckpointError(
                    f"{self.folder} holds checkpoints already: resume the run that made them, or use another folder"
                )
            if self.processes.rank == 0:
                found = checkpoints.newest_checkpoint(self.folder)
            step = self.processes.from_first(found.step if found else -1)
            found = found or checkpoints.load_checkpoint(self.folder / f"step-{step:08d}")
        if found:
            self._restore(found)

    def _save(self):
        if self.folder is None:
            return
        if not all(parameter.isfinite().all() for parameter in self.parameters):
            raise self._diverged("some weights are not finite, so nothing is saved,")
        random_states = self.processes.collect(random_state(self.device))
        if self.processes.rank:
            return
        optimizer_tensors, optimizer_values = checkpoints.pack_optimizer(self.optimizer)
        report = self.report
        state = {
            "model": self._configuration(),
            "settings": self.settings.to_dict(),
            "report": vars(report) | {"stopped": ""},
            "position": self.position,
            "since_record": self.pace.to_dict(),
            "optimizer": optimizer_values,
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        tensors = {"model": self.model.state_dict(), "optimizer": optimizer_tensors}
        for rank, tensors_of_rank in enumerate(random_states):
            tensors[f"random-{rank}"] = tensors_of_rank
        checkpoints.save_checkpoint(self.folder, report.step, tensors, state)
        checkpoints.keep_newest(self.folder, self.settings.keep_last, and_step=report.best_step)

    def _restore(self, found):
        """Put everything back where it was when the checkpoint was made. What differs is refused before."""
        tensors, state = found.tensors, found.state
        checkpoints.require_same({"model": state["model"]}, {"model": self._configuration()}, found.path)
        course = type(self.settings).from_dict(state["settings"]).of_the_course()
        checkpoints.require_same({"settings": course}, {"settings": self.settings.of_the_course()}, found.path)
        checkpoints.require_same_tensors(tensors["model"], self.model.state_dict(), found.path)
        self.model.load_state_dict(tensors["model"])
        checkpoints.unpack_optimizer(self.optimizer, tensors["optimizer"], state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.report = TrainingReport(**state["report"])
        self.position = state["position"]
        self.pace.load(**state["since_record"])
        if f"random-{self.processes.count}" not in tensors and f"random-{self.processes.count - 1}" in tensors:
            restore_random_state(tensors[f"random-{self.processes.rank}"], self.device)
        else:  # another number of processes: no state fits, so go on from new seeds
            set_seeds(self.settings.seed + found.step, self.processes.rank)

    def _configuration(self):
        config = getattr(self.model, "config", None)
        return config.to_dict() if hasattr(config, "to_dict") else None

    @contextlib.contextmanager
    def _folder_for_itself(self):
        """Two runs in one folder would mix their checkpoints."""
        if self.folder is None or self.processes.rank:
            yield
            return
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise CheckpointError(f"another run is training in {self.folder}: use another folder") from None
        except OSError as error:
            raise CheckpointError(f"{self.folder} cannot be written: {error.strerror or error}") from error
        try:
            checkpoints.remove_unfinished(self.folder)
            yield
        finally:
            lock.release()

    def _require_arguments(self):
        settings = self.settings
        if settings.evaluate_every and not self.validation:
            raise ValueError(f"evaluate_every = {settings.evaluate_every} needs validation batches; got none")
        if settings.precision == "float16" and self.device.type != "cuda":
            raise ValueError(f"precision = 'float16' needs a GPU; the model is on {self.device}. Use 'bfloat16'.")
        if settings.peak is None and not hasattr(getattr(self.model, "config", None), "d_model"):
            raise ValueError("the model has no config.d_model, from which the rate follows; give the setting peak")
        if self.resume and self.folder is None:
            raise ValueError("resume needs a folder to resume from")


class _Clock:
    """Seconds of training, those before a resume included."""

    def __init__(self, before):
        self._began = time.monotonic() - before

    def seconds(self):
        return time.monotonic() - self._began


class _Pace:
    """Loss and tokens since the last record. Only reading them makes a GPU wait."""

    def __init__(self, device):
        self._loss = torch.zeros((), dtype=_sum_dtype(device), device=device)
        self._tokens = self._tokens_here = 0  # since the record; in this process, to tell the speed

    def begin(self, clock):
        self.clock, self._since = clock, clock.seconds()

    def add(self, loss, tokens):
        self._loss += loss
        self._tokens += tokens
        self._tokens_here += tokens

    def read(self):
        """(mean loss of a token, tokens a second) since the last time, and begin anew."""
        loss = self._loss.item() / max(self._tokens, 1)
        speed = self._tokens_here / max(self.clock.seconds() - self._since, 1e-9)
        self._loss.zero_()
        self._tokens, self._tokens_here, self._since = 0, 0, self.clock.seconds()
        return loss, speed

    def pause(self):
        self._paused = self.clock.seconds()

    def go_on(self):
        self._since += self.clock.seconds() - self._paused

    def to_dict(self):
        return {"loss": self._loss.item(), "tokens": self._tokens}

    def load(self, loss, tokens):
        self._loss.fill_(loss)
        self._tokens = tokens


def _sum_dtype(device):
    return torch.float32 if device.type == "mps" else torch.float64  # which Apple's GPUs do not have


def _forward(model, source_ids, target_ids, device, precision, smoothing, pad_id):
    """(summed loss, real tokens) of a batch: each target token is to be told from those before it."""
    source_ids, target_ids = (ids.to(device, non_blocking=True) for ids in (source_ids, target_ids))
    dtype = getattr(torch, precision)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
        logits = model(source_ids, target_ids[:, :-1])
        return summed_loss(logits, target_ids[:, 1:], smoothing, pad_id)


def _pad_id(model):
    return getattr(getattr(model, "config", None), "pad_id", 0)


def _require_batch(source_ids, target_ids, config):
    if source_ids.ndim != 2 or target_ids.ndim != 2 or len(source_ids) != len(target_ids) or target_ids.shape[1] < 2:
        raise ValueError(
            "a batch must be source_ids (batch, S) and target_ids (batch, T) with T at least 2; "
            f"got {tuple(source_ids.shape)} and {tuple(target_ids.shape)}"
        )
    size = getattr(config, "vocab_size", None)
    sizes = dict(source_ids=size, target_ids=getattr(config, "target_vocab_size", None) or size)
    for name, ids in dict(source_ids=source_ids, target_ids=target_ids).items():
        if sizes[name] and ids.numel() and not 0 <= ids.min() <= ids.max() < sizes[name]:
            wrong = ids[(ids < 0) | (ids >= sizes[name])][0].item()
            raise ValueError(f"{name} must be ids from 0 to {sizes[name] - 1}; got {wrong}")
