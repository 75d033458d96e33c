"""Times are of the work alone, in turns; what does not fit is a figure, and what is late is left out."""

import pytest
import torch

from clearformer.nn import DecoderLayer, EncoderLayer
from clearformer.nn._ready_mask import ready_mask


class Device:
    """Remembers when it was waited for."""

    reduced = False

    def __init__(self):
        self.happened = []

    def wait(self):
        self.happened.append("wait")

    def tidy(self):
        self.happened.append("tidy")


@pytest.fixture
def timing(script):
    return script("timing")


def test_the_device_is_waited_for_around_the_calls_and_not_between(timing, monkeypatch):
    monkeypatch.setattr(timing, "MOST_REPEATS", 3)
    device = Device()
    timing.interleaved({"a": lambda: device.happened.append("a")}, device, timing.Budget(60), rounds=1, warm=1)
    assert device.happened == ["wait", "a", "wait", "wait", "a", "a", "a", "wait"]


def test_all_take_their_turn_in_each_round(timing, monkeypatch):
    monkeypatch.setattr(timing, "MOST_REPEATS", 1)
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = timing.interleaved(calls, Device(), timing.Budget(60), rounds=3, warm=1)
    assert order == [*"abc", *"abc", *"bca", *"cab"]
    assert {name: len(times) for name, times in seconds.items()} == dict.fromkeys("abc", 3)


def test_with_no_time_left_one_round_is_made_and_the_section_knows(timing):
    budget = timing.Budget(0)
    assert len(timing.interleaved({"a": lambda: None}, Device(), budget, rounds=9)["a"]) == 1
    assert budget.short


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "does not fit into the memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "does not fit into the memory"),
        (RuntimeError("no kernel\nfor this"), "RuntimeError: no kernel"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_cannot_be_measured_says_why(timing, error, why):
    def call():
        raise error

    device = Device()
    assert timing.attempt(call, device) == (None, why)
    assert device.happened == ["tidy"]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 8, 100, 1000, 5000])
def test_the_search_for_what_fits_ends_within_an_eighth_below(script, timing, limit):
    tried = []
    largest = script("checkpoint_policies").largest
    found = largest(lambda number: tried.append(number) or number <= limit, 2048, timing.Budget(60))
    wanted = min(limit, 2048)
    assert found <= wanted and wanted - found <= max(0, wanted // 8)
    assert len(tried) < 20 and max(tried, default=0) <= 2048


def test_time_is_shared_out_and_the_last_section_has_the_rest(script):
    sections = script("sections")
    chosen = list(sections.MODULES)
    given = {name: sections.seconds_for(name, chosen, 7.5, 435 - 10 * place) for place, name in enumerate(chosen)}
    assert given == {"translation": 60, "checkpointing": 75, "lora": 45, "training": 130, "multi30k": 395}
    assert sections.seconds_for("multi30k", ["multi30k"], 20, 1185) == 1185
    assert sections.seconds_for("lora", chosen, 7.5, -3) > 0
    assert sum(sections.SHARES.values()) < 60 * sections.MINUTES - 100  # what is left if all take all they may


def test_a_layer_is_compiled_as_one_graph_and_once_for_all_layers():
    """On "meta" the code goes the way of a GPU: it looks at no value of a mask, and drops out as torch does."""
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    torch._dynamo.reset()
    sizes = dict(d_model=8, num_heads=2, d_ff=16, dropout=0.1)
    encoder, decoder = ([kind(**sizes).to("meta") for _ in range(6)] for kind in (EncoderLayer, DecoderLayer))
    x, memory = (torch.randn(2, 5, 8, device="meta", requires_grad=True) for _ in range(2))
    hidden = torch.ones(2, 1, 1, 5, dtype=torch.bool, device="meta")
    causal = torch.ones(2, 1, 5, 5, dtype=torch.bool, device="meta")
    for layer in (*encoder, *decoder):
        layer.compile(backend=counter, fullgraph=True)
    for layer in encoder:
        memory = layer(memory, ready_mask(hidden, (2, 2, 5, 5)))
    for layer in decoder:
        x = layer(x, memory, ready_mask(causal, (2, 2, 5, 5)), ready_mask(hidden, (2, 2, 5, 5)))
    assert counter.frame_count <= 4  # one of each kind, and at most another for the first, whose input is a leaf
