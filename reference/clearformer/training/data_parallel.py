"""The same training on several processes: each takes some rows of every batch, and their gradients are added up.

Start any script or command that trains with

    torchrun --nproc-per-node 2 SCRIPT

and every process finds the others here. The batches, and so the loss and the weights, are those of one process: the
number of processes is no setting of the training. (PyTorch's DistributedDataParallel instead gives each process batches
of its own, and takes the mean of their means, which weighs a real token by the padding beside it.)
"""

import os

import torch
import torch.distributed as dist


def join_processes():
    """The processes that torchrun started, of which this is one; OneProcess where it was not started so.

    With CUDA each process gets the GPU of its local rank and they talk over nccl, else over gloo.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return OneProcess()
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return SeveralProcesses(device)


class OneProcess:
    """Training on its own: there is nothing to share or add up."""

    rank = 0
    count = 1

    def __init__(self):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def rows(self, tensor):
        return tensor

    def add_up(self, tensors):
        pass

    def add_up_gradients(self, parameters):
        pass

    def from_first(self, number):
        return number

    def share_weights(self, model):
        pass

    def collect(self, tensors):
        return [tensors]

    def leave(self):
        pass


class SeveralProcesses:
    """One of `count` processes; rank 0 is the one that prints and saves. Every process must make the same calls."""

    def __init__(self, device):
        self.device = device
        self.rank = dist.get_rank()
        self.count = dist.get_world_size()

    def rows(self, tensor):
        """This process's rows of a batch: each row is some process's, and none is two's. It may be no row at all."""
        return tensor[self.rank :: self.count]

    def add_up(self, tensors):
        """Replace each tensor, in place, by its sum over the processes."""
        for tensor in tensors:
            dist.all_reduce(tensor)

    def add_up_gradients(self, parameters):
        """Replace each gradient by its sum over the processes; one that no process has stays None."""
        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        has_gradient = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=self.device)
        dist.all_reduce(has_gradient)
        parameters = [p for p, some in zip(parameters, has_gradient.tolist(), strict=True) if some]
        for dtype in sorted({p.dtype for p in parameters}, key=str):
            group = [p for p in parameters if p.dtype == dtype]
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in group]
            flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message, not hundreds
            dist.all_reduce(flat)
            for parameter, part in zip(group, flat.split([p.numel() for p in group]), strict=True):
                parameter.grad = part.view_as(parameter)

    def from_first(self, number):
        """The whole number that rank 0 has."""
        message = torch.tensor([number], dtype=torch.int64, device=self.device)
        dist.broadcast(message, src=0)
        return message.item()

    def share_weights(self, model):
        """Give every process rank 0's weights."""
        with torch.no_grad():
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, src=0)

    def collect(self, tensors):
        """Every process's {name: tensor}, in the order of ranks; the shapes must be the same everywhere."""
        collected = [{} for _ in range(self.count)]
        for name in sorted(tensors):
            tensor = tensors[name].to(self.device)
            parts = [torch.empty_like(tensor) for _ in range(self.count)]
            dist.all_gather(parts, tensor)
            for into, part in zip(collected, parts, strict=True):
                into[name] = part.cpu()
        return collected

    def leave(self):
        """Say goodbye, at the end of a script."""
        if dist.is_initialized():
            dist.destroy_process_group()
