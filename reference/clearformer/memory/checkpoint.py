"""Gradient checkpointing, written by hand as an autograd function."""

import contextlib
from itertools import pairwise

import torch


def checkpoint(function, *args, parameters=()):
    """function(*args), of which nothing is kept for the backward pass but the inputs: there it runs again.

    (Chen et al. 2016, section 4.) args: tensors, which get gradients where they need them, and anything else, which is
    handed on. function returns one tensor, and uses what it is given and `parameters`, the tensors besides args that
    get gradients too: those of a module that function calls. The second run sees the random state, on the CPU and the
    GPUs of args, and the autocast settings of the first. Where no gradient is asked for, function is just called.

    One backward pass, of first derivatives: for more keep the graph of a plain call. TypeError where function returns
    something else than a tensor.
    """
    parameters = tuple(value for value in parameters if value.requires_grad)
    if not torch.is_grad_enabled():
        return function(*args)
    is_tensor = [isinstance(value, torch.Tensor) for value in args]
    tensors = [value for value, yes in zip(args, is_tensor, strict=True) if yes]
    others = [None if yes else value for value, yes in zip(args, is_tensor, strict=True)]
    return _Checkpoint.apply(function, is_tensor, others, *tensors, *parameters)


class _Checkpoint(torch.autograd.Function):
    """The parameters are arguments of it as well. So their gradients flow though no tensor of args needs one."""

    @staticmethod
    def forward(ctx, function, is_tensor, others, *tensors):
        ctx.function, ctx.is_tensor, ctx.others = function, is_tensor, others
        ctx.state = _State(tensors)
        ctx.save_for_backward(*tensors)
        output = function(*_merged(is_tensor, others, tensors))  # gradients are off in here: nothing is kept
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"function must return one tensor; got {type(output).__name__}")
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_output):
        count, needed = sum(ctx.is_tensor), ctx.needs_input_grad[3:]
        saved = ctx.saved_tensors
        # Cut off from what made them, so that the second run's graph begins here.
        inputs = [value.detach().requires_grad_(need) for value, need in zip(saved[:count], needed, strict=False)]
        sources = [*inputs, *saved[count:]]
        with ctx.state.restored(), torch.enable_grad(), ctx.state.autocast():
            # A leaf only where the first run saw one: autocast converts leaves once and anything else each time.
            given = [new if old.is_leaf else new.view_as(new) for new, old in zip(inputs, saved[:count], strict=True)]
            output = ctx.function(*_merged(ctx.is_tensor, ctx.others, given))
        wanted = [value for value, need in zip(sources, needed, strict=True) if need]
        found = torch.autograd.grad(output, wanted, grad_output, allow_unused=True) if output.requires_grad else ()
        found = iter(found)
        return None, None, None, *(next(found, None) if need else None for need in needed)


def _merged(is_tensor, others, tensors):
    """args as they were: at each place the next tensor, or what is no tensor."""
    tensors = iter(tensors)
    return [next(tensors) if yes else other for yes, other in zip(is_tensor, others, strict=True)]


class _State:
    """What a second run has to find as the first did: random states and the autocast settings."""

    def __init__(self, tensors):
        self._cpu = torch.get_rng_state()
        self._devices = sorted({value.get_device() for value in tensors if value.is_cuda})
        self._gpu = [torch.cuda.get_rng_state(device) for device in self._devices]
        kinds = ("cpu", "cuda") if self._devices else ("cpu",)
        self._autocast = [(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds]
        self._cache = torch.is_autocast_cache_enabled()

    @contextlib.contextmanager
    def restored(self):
        """The random states as they were, and afterwards as they are now."""
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self._cpu)
            for device, state in zip(self._devices, self._gpu, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield

    @contextlib.contextmanager
    def autocast(self):
        with contextlib.ExitStack() as stack:
            for kind, enabled, dtype in self._autocast:
                if enabled or torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, dtype, enabled=enabled, cache_enabled=self._cache))
            yield


def torch_checkpoint(function, *args, parameters=()):
    """As checkpoint, by torch.utils.checkpoint. It finds the parameters by itself."""
    from torch.utils.checkpoint import checkpoint as by_torch

    return by_torch(function, *args, use_reentrant=False) if torch.is_grad_enabled() else function(*args)


def segment_bounds(num_layers, num_segments):
    """[(first, end), …]: num_layers layers in num_segments runs of neighbours, the longer ones first.

    In a backward pass the first segment is the last to run again, when the inputs of all others are gone: so it may be
    the longest. ValueError unless 1 ≤ num_segments ≤ num_layers.
    """
    if not isinstance(num_segments, int) or not 1 <= num_segments <= num_layers:
        raise ValueError(f"num_segments must be from 1 to {num_layers}, the number of layers; got {num_segments!r}")
    size, longer = divmod(num_layers, num_segments)
    ends = [0, *(size * (i + 1) + min(i + 1, longer) for i in range(num_segments))]
    return [*pairwise(ends)]


def checkpointed_forward(layers, x, num_segments):
    """x through all layers, keeping the inputs of num_segments segments (Chen et al. 2016, section 4).

    layers: a list or ModuleList of modules, each called as layer(x). The last segment is not checkpointed: the backward
    pass begins with it, so its activations would be thrown away only to be computed again at once. ValueError as in
    segment_bounds.
    """
    return run_segments(layers, x, num_segments=num_segments)


def run_segments(layers, x, *others, num_segments, keep_last=True, using=checkpoint):
    """As checkpointed_forward, for layers called as layer(x, *others); tensors among others get gradients too.

    keep_last False: the last segment is checkpointed as well, which pays where something large comes after it.
    using: checkpoint or torch_checkpoint.
    """
    bounds = segment_bounds(len(layers), num_segments)
    for first, end in bounds:
        segment = _Segment(layers[first:end])
        if end == len(layers) and keep_last:
            x = segment(x, *others)
        else:
            x = using(segment, x, *others, parameters=segment.parameters())
    return x


class _Segment:
    """Layers one after the other, each of which is also given `others`."""

    def __init__(self, layers):
        self.layers = [*layers]

    def __call__(self, x, *others):
        for layer in self.layers:
            x = layer(x, *others)
        return x

    def parameters(self):
        """Each once, also where layers share some."""
        found = (value for layer in self.layers if isinstance(layer, torch.nn.Module) for value in layer.parameters())
        return tuple({id(value): value for value in found}.values())
