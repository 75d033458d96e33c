"""How a model is trained, in one object."""

from dataclasses import asdict, dataclass, fields

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainingSettings:
    """The recipe of Vaswani et al. 2017, section 5, and what else a run needs to be told.

    max_steps, minutes          stop at the first that is reached; one of them must be given. A step is one update.
    accumulation                batches that make one update: their gradients are added up
    warmup_steps, peak, scale   as in WarmupSchedule
    betas, eps                  Adam's
    smoothing                   as in label_smoothed_loss
    clip_norm                   gradients longer than this are shortened to it; None: never (as in 2017)
    precision                   "float32", "bfloat16" or, on a GPU, "float16": what the forward pass computes in. The
                                weights stay in their own dtype; with "float16" the loss is scaled against underflow.
    seed                        of dropout, and of whatever else draws random numbers in training
    log_every                   steps between two records
    evaluate_every              steps between two evaluations; None: none
    patience                    stop after this many evaluations without a better one; None: never
    save_every                  steps between two checkpoints; None: one at the end
    keep_last                   this many checkpoints are kept, and the one with the best evaluation

    ValueError names a setting that makes no sense.
    """

    max_steps: int | None = None
    minutes: float | None = None
    accumulation: int = 1
    warmup_steps: int = 4000
    peak: float | None = None
    scale: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-9
    smoothing: float = 0.1
    clip_norm: float | None = None
    precision: str = "float32"
    seed: int = 0
    log_every: int = 10
    evaluate_every: int | None = None
    patience: int | None = None
    save_every: int | None = None
    keep_last: int = 5

    def __post_init__(self):
        object.__setattr__(self, "betas", tuple(self.betas))
        if self.max_steps is None and self.minutes is None:
            raise ValueError("give max_steps or minutes; otherwise training would never end")
        for name in ("max_steps", "accumulation", "warmup_steps", "log_every", "evaluate_every", "patience",
                     "save_every", "keep_last"):  # fmt: skip
            _require(self, name, "a whole number of at least 1", lambda n: _is_whole(n) and n >= 1)
        for name in ("minutes", "peak", "scale", "eps", "clip_norm"):
            _require(self, name, "a number above 0", lambda n: _is_number(n) and n > 0)
        _require(self, "betas", "two numbers from 0 to below 1",
                 lambda pair: len(pair) == 2 and all(_is_number(n) and 0 <= n < 1 for n in pair))  # fmt: skip
        _require(self, "smoothing", "a number from 0 to 1", lambda n: _is_number(n) and 0 <= n <= 1)
        _require(self, "seed", "a whole number of at least 0", lambda n: _is_whole(n) and n >= 0)
        _require(self, "precision", " or ".join(map(repr, PRECISIONS)), lambda name: name in PRECISIONS)
        if self.peak is not None and self.scale is not None:
            raise ValueError(f"give peak or scale, not both; got peak = {self.peak!r}, scale = {self.scale!r}")
        if self.patience is not None and self.evaluate_every is None:
            raise ValueError("patience needs evaluate_every: without an evaluation nothing gets better or worse")

    def to_dict(self):
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values):
        """Settings from a dict; ValueError names the keys that are no settings."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(
                f"unknown settings: {', '.join(unknown)}; there are {', '.join(f.name for f in fields(cls))}"
            )
        return cls(**values)

    def of_the_course(self):
        """The settings that decide what the weights will be; a resumed run may change only the others."""
        free = ("max_steps", "minutes", "log_every", "evaluate_every", "patience", "save_every", "keep_last")
        return {name: value for name, value in self.to_dict().items() if name not in free}


def _require(settings, name, what, fits):
    value = getattr(settings, name)
    optional = type(settings).__dataclass_fields__[name].default is None
    if not (optional and value is None) and not fits(value):
        raise ValueError(f"{name} must be {what}{' or None' if optional else ''}; got {value!r}")


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)
