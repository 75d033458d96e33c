"""The learning rate of the 2017 paper: up in a straight line, then down as one over the root of the step."""

from torch.optim.lr_scheduler import LRScheduler


def warmup_rate(step, d_model, warmup_steps=4000):
    """d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5) (Vaswani et al. 2017, eq. 3), a float.

    Steps count from 1; step 0 gives 0.0. The highest rate, (d_model * warmup_steps)^-0.5, is that of step
    warmup_steps. ValueError where step is negative, or d_model or warmup_steps is below 1.
    """
    if not step >= 0:
        raise ValueError(f"step must be at least 0; got {step!r}")
    for name, number in dict(d_model=d_model, warmup_steps=warmup_steps).items():
        if not number >= 1:
            raise ValueError(f"{name} must be at least 1; got {number!r}")
    if step == 0:
        return 0.0
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


class WarmupSchedule(LRScheduler):
    """warmup_rate as a PyTorch scheduler: call step() after each optimizer.step().

    The optimiser's nth update is made with scale * warmup_rate(n), or, where peak is given, with that curve
    stretched so that its highest rate is peak. The lr that the optimiser was made with counts for nothing.
    ValueError where both scale and peak are given, or one is not above 0.
    """

    def __init__(self, optimizer, d_model, warmup_steps=4000, scale=None, peak=None):
        if scale is not None and peak is not None:
            raise ValueError(f"give scale or peak, not both; got scale = {scale!r}, peak = {peak!r}")
        for name, number in dict(scale=scale, peak=peak).items():
            if number is not None and not number > 0:
                raise ValueError(f"{name} must be above 0; got {number!r}")
        self.d_model = d_model
        self.warmup_steps = warmup_steps
        self.scale = 1.0 if scale is None else scale
        if peak is not None:
            self.scale = peak / warmup_rate(warmup_steps, d_model, warmup_steps)
        super().__init__(optimizer)

    def get_lr(self):
        # last_epoch counts the updates made, so the next one is last_epoch + 1
        rate = self.scale * warmup_rate(self.last_epoch + 1, self.d_model, self.warmup_steps)
        return [rate for _ in self.optimizer.param_groups]
