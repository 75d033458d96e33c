"""The training step of the base model of 2017, in three precisions, with and without torch.compile."""

import time

import torch
from flop import step_flop
from place import PRECISIONS, autocast, products_in
from timing import DOES_NOT_FIT, added_peak, attempt, interleaved, milliseconds, spread

from clearformer.models import Transformer, TransformerConfig
from clearformer.training.loss import summed_loss

# (sentences, GiB of free memory that both models and a step in float32 need); sentences of LENGTH tokens, as in the
# paper about 25,000 on each side where there is room
LENGTH = 64
SENTENCES = [(384, 36), (256, 26), (128, 15), (64, 9), (32, 6), (16, 4), (4, 0)]
VOCAB = 37000  # Vaswani et al. 2017, section 5.1
PRODUCT_SIZES = [(8192, 3), (4096, 0)]
COMPILE_ALLOWANCE = 45  # seconds without which no further precision is compiled


def measure(place, options, budget, found, say):
    config = TransformerConfig.preset("base", VOCAB)
    if place.reduced:
        config = TransformerConfig.preset("toy", 50)
    model = Transformer(config, torch.Generator().manual_seed(0))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    found["model"] = {
        "preset": "toy" if place.reduced else "base",
        "vocab_size": config.vocab_size,
        "dropout": config.dropout,
        "parameters": parameters,
    }
    calls = {precision: _product(place, precision) for precision in PRECISIONS if not place.lacks(precision)}
    found["products"] = _rates(calls, place, budget, say)
    found.save()
    del calls  # and with it the matrices
    place.give_back()
    _measure_steps(model.to(place.device), place, budget, found, say)


def _measure_steps(model, place, budget, found, say):
    """First everything without torch.compile, so that these figures are safe; then all of it together."""
    batch = _largest_batch(model, place, found, say)
    eager = Stepper(model, batch)
    found["steps"] = rows = [_row(precision, compiled) for compiled in (False, True) for precision in PRECISIONS]
    by_name = {(row["precision"], row["compiled"]): row for row in rows}
    calls = {}
    for precision in PRECISIONS:
        _add_call(calls, by_name[precision, False], eager, place)
    _time(calls, by_name, found, place, budget, say, rounds=4)
    config = model.config
    twin = Transformer(config).to(place.device)
    twin.load_state_dict(model.state_dict())
    compiled = Stepper(twin, batch)
    torch._dynamo.config.recompile_limit = 64  # three precisions, and more ways than one to call a layer
    for layer in (*twin.encoder.layers, *twin.decoder.layers):
        layer.compile(backend=place.backend)
    for precision in reversed(PRECISIONS):  # the most used first, in case there is no time for all
        row = by_name[precision, True]
        if not budget.allows(0 if place.reduced else COMPILE_ALLOWANCE):
            row["skipped"] = "there was no time left to compile"
            continue
        began = time.monotonic()
        _add_call(calls, row, compiled, place)
        if "skipped" not in row:
            row["compile_seconds"] = round(time.monotonic() - began, 1)
        say(f"compiled in {precision}: {row.get('skipped') or str(row['compile_seconds']) + ' s'}")
        found.save()
    _time(calls, by_name, found, place, budget, say, rounds=12)


def _row(precision, compiled):
    return {"precision": precision, "compiled": compiled}


def _largest_batch(model, place, found, say):
    """The largest batch with which a step in float32 fits."""
    largest = place.largest_fitting(SENTENCES)
    sizes = [2] if place.reduced else [sentences for sentences, _ in SENTENCES if sentences <= largest]
    length = 5 if place.reduced else LENGTH
    why = None
    for sentences in sizes:
        why = _why_not(model, sentences, length, place)
        if why is None:
            break
        say(f"{sentences} sentences: {why}")
        if why != DOES_NOT_FIT:
            break
    if why:
        raise RuntimeError(f"no training step of the base model can be made: {why}")
    found["batch"] = {"sentences": sentences, "length": length, "target_tokens": sentences * length}
    found["step_flop"] = step_flop(model.config, sentences, length, length)
    work = f"{sentences} sentences of {length} tokens, {found['step_flop'] / 1e12:.2f} TFLOP a step"
    say(f"{found['model']['preset']} model, {work}")
    return random_batch(model.config, sentences, length, place.device)


def _why_not(model, sentences, length, place):
    """Why a step of this size cannot be made, or None. Nothing of it stays."""

    def once():
        Stepper(model, random_batch(model.config, sentences, length, place.device))("float32")
        place.wait()

    _, why = attempt(once, place)
    model.zero_grad(set_to_none=True)
    place.tidy()
    return why


def random_batch(config, sentences, length, device):
    """(source_ids, target_ids) with no padding; a target has one token more than the decoder reads."""
    draw = torch.Generator().manual_seed(0)
    source = torch.randint(4, config.vocab_size, (sentences, length), generator=draw)
    target = torch.randint(4, config.vocab_size, (sentences, length + 1), generator=draw)
    return source.to(device), target.to(device)


class Stepper:
    """Training steps of one model on one batch: call it with a precision. Only what learns has an optimiser."""

    def __init__(self, model, batch):
        self.model, self.batch = model.train(), batch
        self.device = batch[0].device
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-5, betas=(0.9, 0.98), eps=1e-9, fused=True)

    def __call__(self, precision):
        """The loss, still on the device: nothing here waits for it."""
        source_ids, target_ids = self.batch
        self.optimizer.zero_grad(set_to_none=True)
        with products_in(precision):
            with autocast(self.device, precision):
                logits = self.model(source_ids, target_ids[:, :-1])
                total, real_tokens = summed_loss(logits, target_ids[:, 1:])
            loss = total / real_tokens
            loss.backward()
            self.optimizer.step()
        return loss.detach()

    def held_bytes(self):
        """Of weights and optimiser."""
        state = (value for each in self.optimizer.state.values() for value in each.values())
        tensors = [*self.model.parameters(), *(value for value in state if isinstance(value, torch.Tensor))]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def peak_bytes(self, precision, place):
        """Weights, optimiser, and the most that a step adds."""
        self.optimizer.zero_grad(set_to_none=True)
        return self.held_bytes() + added_peak(lambda: self(precision), place)


def _add_call(calls, row, stepper, place):
    """Make the first steps of a row, look at their memory and loss, and put it among those to be timed."""
    precision = row["precision"]
    why = place.lacks(precision)
    if why is None:
        _, why = attempt(lambda: _begin(row, stepper, place), place)
    if why is None:
        calls[precision, row["compiled"]] = lambda: stepper(precision)
    else:
        row["skipped"] = why


def _begin(row, stepper, place):
    stepper(row["precision"])
    row["peak_bytes"] = place.bytes_or_none(stepper.peak_bytes(row["precision"], place))
    loss = stepper(row["precision"]).item()
    if not 0 < loss < 100:
        raise RuntimeError(f"the loss is {loss}")


def _time(calls, by_name, found, place, budget, say, rounds):
    seconds = interleaved(calls, place, budget, 1 if place.reduced else rounds)
    tokens = found["batch"]["target_tokens"]
    for name, times in seconds.items():
        row = by_name[name]
        row["ms"] = milliseconds(times)
        row["tokens_per_second"] = round(1000 * tokens / row["ms"]["median"])
        rate = found["products"].get(name[0], {}).get("tflop_per_second")
        share = found["step_flop"] / 1e9 / row["ms"]["median"] / rate["median"] if rate else None
        row["share_of_products"] = round(share, 4) if rate else None
        row.setdefault("compile_seconds", None)
        how = "compiled" if name[1] else "eager"
        percent = f", {100 * share:.0f} % of the products' rate" if rate else ""
        say(f"{name[0]:8} {how:9} {row['ms']['median']:9.2f} ms, {row['tokens_per_second']:,} tokens/s{percent}")
    found.save()


def _product(place, precision):
    size = 64 if place.reduced else place.largest_fitting(PRODUCT_SIZES)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other, result = (torch.randn(size, size, device=place.device).to(dtype) for _ in range(3))

    def multiply():
        with products_in(precision):
            torch.mm(one, other, out=result)

    multiply.size = size
    return multiply


def _rates(calls, place, budget, say):
    """{precision: size and rate}, of large matrix products by themselves."""
    seconds = interleaved(calls, place, budget, 2 if place.reduced else 10)
    rates = {}
    for precision, times in seconds.items():
        size = calls[precision].size
        rates[precision] = {
            "size": size,
            "tflop_per_second": spread([2 * size**3 / time / 1e12 for time in times]),
        }
        say(f"products of {size} x {size} in {precision}: {rates[precision]['tflop_per_second']['median']:.1f} TFLOP/s")
    return rates
