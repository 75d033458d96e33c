"""Measuring what a model keeps for the backward pass, on a CPU and on a GPU."""

import weakref
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Measured(NamedTuple):
    """Bytes beyond those that were there before. saved: tensors that autograd keeps, parameters left out, each storage
    once. allocated: all tensors alive, gradients and what is half done among them.

    kept        saved when the forward pass has ended
    peak        saved, at the most, forward and backward
    allocated, allocated_peak   the same two of what is allocated
    """

    kept: int
    peak: int
    allocated: int
    allocated_peak: int


def measure(forward, model):
    """What `loss = forward(); loss.backward()` keeps and allocates, as Measured.

    forward: a function without arguments that returns a scalar which depends on the parameters of `model`. It is called
    twice, the first time unmeasured, so that all gradients of parameters are there before; they are added to. Where
    they are on a GPU, allocated is what torch's own counter says (torch.cuda.max_memory_allocated, whose blocks are
    rounded up to 512 bytes); else every tensor that an operation makes is followed. Tensors kept by torch_checkpoint
    while a segment runs again are allocated but not counted as saved: it hides them.
    """
    parameters = [*model.parameters()]
    forward().backward()
    if any(parameter.is_cuda for parameter in parameters):
        return _measured_on_gpu(forward, parameters)
    with SavedTensors(parameters) as saved:
        loss = forward()
        kept = saved.now
        loss.backward()
    del loss
    with AllocatedBytes() as allocated:
        loss = forward()
        after_forward = allocated.now
        loss.backward()
    return Measured(kept, saved.peak, after_forward, allocated.peak)


def _measured_on_gpu(forward, parameters):
    with SavedTensors(parameters) as saved:
        loss = forward()
        kept = saved.now
        loss.backward()
    del loss
    device = parameters[0].device
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    loss = forward()
    after_forward = torch.cuda.memory_allocated(device) - before
    loss.backward()
    torch.cuda.synchronize(device)
    return Measured(kept, saved.peak, after_forward, torch.cuda.max_memory_allocated(device) - before)


class SavedTensors:
    """Counts what autograd saves inside of a `with` block: bytes of distinct storages, without `parameters`.

    now, peak: bytes kept at this moment, and at the most so far; seen: (shape, dtype, bytes of its storage) of each
    storage, in the order of saving. Every second storage saved again counts once, and no more when it is let go.
    """

    def __init__(self, parameters=()):
        self._not_counted = {value.untyped_storage().data_ptr() for value in parameters}
        self._holders = {}  # address of a storage: how many saved tensors are in it
        self.now = self.peak = 0
        self.seen = []
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda held: held.tensor)

    def __enter__(self):
        self._hooks.__enter__()
        return self

    def __exit__(self, *error):
        self._hooks.__exit__(*error)

    def _pack(self, tensor):
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._not_counted:
            return _Held(tensor)
        if address not in self._holders:
            self._holders[address] = 0
            self.seen.append((tuple(tensor.shape), tensor.dtype, size))
            self.now += size
            self.peak = max(self.peak, self.now)
        self._holders[address] += 1
        return _Held(tensor, lambda: self._let_go(address, size))

    def _let_go(self, address, size):
        self._holders[address] -= 1
        if not self._holders[address]:
            del self._holders[address]
            self.now -= size


class _Held:
    """A saved tensor. Autograd drops it when the backward pass has used it."""

    def __init__(self, tensor, at_end=None):
        self.tensor, self._at_end = tensor.detach(), at_end  # detached: else a saved output would hold its own graph

    def __del__(self):
        if self._at_end:
            self._at_end()


class AllocatedBytes(TorchDispatchMode):
    """Follows every tensor that an operation makes inside of a `with` block; now and peak as in SavedTensors.

    What a kernel allocates for itself, and gives back before it returns, is not seen.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakKeyDictionary()  # storages, made here or there before

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for tensor in _tensors((args, kwargs)):
            self._known.setdefault(tensor.untyped_storage(), None)
        result = function(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known[storage] = None
                size = storage.nbytes()
                self.now += size
                weakref.finalize(storage, self._freed, size)
        self.peak = max(self.peak, self.now)
        return result

    def _freed(self, size):
        self.now -= size


def _tensors(values):
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
