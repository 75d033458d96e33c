"""Where the figures are measured: a CUDA device, or in a reduced run the CPU."""

import contextlib
import gc
import platform
import subprocess
from importlib import metadata

import torch

PRECISIONS = ("float32", "tf32", "bf16")
GIB = 2**30


class Place:
    """The device, what it can do, and its memory. reduced: the CPU, tiny sizes."""

    def __init__(self, reduced):
        self.reduced = reduced
        self.device = torch.device("cpu" if reduced else "cuda:0")
        self.backend = "eager" if reduced else "inductor"  # of torch.compile: "eager" traces, and writes no code
        if reduced:
            torch.set_num_threads(1)
            self.memory_bytes, self.capability = None, None
        else:
            torch.cuda.set_device(self.device)
            properties = torch.cuda.get_device_properties(self.device)
            self.memory_bytes, self.capability = properties.total_memory, (properties.major, properties.minor)

    def wait(self):
        """Until the device has done all it was given."""
        if not self.reduced:
            torch.cuda.synchronize(self.device)

    def free_bytes(self):
        """What nobody uses, on this device; None on a CPU."""
        return None if self.reduced else torch.cuda.mem_get_info(self.device)[0]

    def allocated(self):
        return 0 if self.reduced else torch.cuda.memory_allocated(self.device)

    def most_allocated(self):
        return 0 if self.reduced else torch.cuda.max_memory_allocated(self.device)

    def begin_peak(self):
        """From here on most_allocated tells the peak."""
        if not self.reduced:
            torch.cuda.reset_peak_memory_stats(self.device)

    def bytes_or_none(self, count):
        """A CPU has no such figure."""
        return None if self.reduced else count

    def give_back(self):
        """Let the device have what torch keeps for later."""
        if not self.reduced:
            torch.cuda.empty_cache()

    def tidy(self):
        """After a failure: find what hangs on to memory in circles, and give it back."""
        gc.collect()
        self.give_back()

    def lacks(self, precision):
        """Why there are no figures in this precision, or None."""
        if precision != "float32" and self.capability is not None and self.capability < (8, 0):
            return f"this device has no {precision}"
        return None

    def largest_fitting(self, sizes):
        """The first size whose need, in GiB, is there: sizes is [(size, GiB), …], largest first; at least the last."""
        free = self.free_bytes()
        if free is None:
            return sizes[-1][0]
        return next((size for size, gib in sizes if gib * GIB <= free), sizes[-1][0])


@contextlib.contextmanager
def products_in(precision):
    """float32 matrix products in full precision, or in tf32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(device, precision):
    """What computes in bf16 where that is asked for, and otherwise changes nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def is_out_of_memory(error):
    """cuBLAS and cuDNN say it in their own words."""
    words = str(error)
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in words or "ALLOC_FAILED" in words)
    )


def describe(reduced):
    """(device, versions) for the report; device None where there is no CUDA device and the run is not reduced."""
    versions = {name: _version(name) for name in ("torch", "triton", "numpy", "safetensors")}
    versions |= {"python": platform.python_version(), "cuda": torch.version.cuda, "cudnn": None}
    if reduced:
        return {"kind": "cpu", "name": "cpu", "memory_bytes": None, "capability": None, "processors": None}, versions
    if not torch.cuda.is_available():
        return None, versions
    found = torch.cuda.get_device_properties(0)
    device = {
        "kind": "cuda",
        "name": found.name,
        "memory_bytes": found.total_memory,
        "capability": f"{found.major}.{found.minor}",
        "processors": found.multi_processor_count,
        "driver": _driver(),
    }
    return device, versions | {"cudnn": torch.backends.cudnn.version()}


def _version(name):
    if name == "torch":
        return torch.__version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _driver():
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
