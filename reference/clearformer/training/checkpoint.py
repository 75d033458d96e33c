"""Saving and resuming: a checkpoint is either whole or is not there.

A checkpoint is a folder, `step-00001200`, in a folder of checkpoints:

    model.safetensors, optimizer.safetensors, …    tensors
    state.json                                     everything else
    manifest.json                                  the size and the SHA-256 of each file

It is written under another name, forced to the disk, and renamed, which the file system does in one go. Nothing in it
is pickled, so that loading one runs no code of whoever made it.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"
TENSORS = ".safetensors"
UNFINISHED = ".partial-"  # how the names of what is being written or removed begin


class CheckpointError(Exception):
    """A checkpoint that could not be written, read or used; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: tensors {file: {name: tensor}}, all on the CPU, and state, a dict of plain values."""

    path: Path
    step: int
    tensors: dict
    state: dict


def save_checkpoint(folder, step, tensors, state):
    """Write folder/step-<step> and return its path; a crash or a full disk leaves what was there as it was.

    tensors: {file: {name: tensor}}, for example {"model": model.state_dict()}; tensors that share their memory are
    written once. state: what json can write. CheckpointError where the disk refuses, or that step is already there.
    """
    folder = Path(folder)
    files = {name + TENSORS: encode_tensors(group) for name, group in tensors.items()}
    files[STATE] = json.dumps(state, indent=1).encode()
    manifest = {"format": FORMAT, "step": step, "files": {name: _fingerprint(data) for name, data in files.items()}}
    files[MANIFEST] = json.dumps(manifest, indent=1).encode()
    final = folder / f"step-{step:08d}"
    if final.exists() and _is_whole(final):
        raise CheckpointError(f"{final} is already there; nothing was written over it")
    partial = folder / f"{UNFINISHED}{final.name}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        partial.mkdir()
        for name, data in files.items():
            _write(partial / name, data)
        _force_to_disk(partial)
        if final.exists():  # a damaged one
            _remove(final)
        os.rename(partial, final)
        _force_to_disk(folder)
    except OSError as error:
        _remove_if_possible(partial)  # first, so that the message counts its bytes as free
        raise CheckpointError(_not_saved(final, error, sum(map(len, files.values())))) from error
    except BaseException:
        _remove_if_possible(partial)
        raise
    return final


def load_checkpoint(path):
    """Read one checkpoint, comparing every file with the manifest; CheckpointError where one is not as it was."""
    path = Path(path)
    manifest = _read_manifest(path)
    contents = {name: _read(path / name, written) for name, written in manifest["files"].items()}
    try:
        state = json.loads(contents.pop(STATE))
        tensors = {name.removesuffix(TENSORS): decode_tensors(data) for name, data in contents.items()}
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    return Checkpoint(path, manifest["step"], tensors, state)


def list_checkpoints(folder):
    """The paths of the checkpoints in a folder, oldest first. Their files are not looked at."""
    folder = Path(folder)
    found = [path for path in folder.iterdir() if re.fullmatch(r"step-\d{8,}", path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def newest_checkpoint(folder):
    """Load the newest whole checkpoint of a folder; None where it holds none.

    A damaged one is passed over with a warning. CheckpointError where all are damaged.
    """
    paths = list_checkpoints(folder)
    problems = []
    for path in reversed(paths):
        try:
            return load_checkpoint(path)
        except CheckpointError as problem:
            problems.append(str(problem))
            warnings.warn(f"{problem}; the one before it is used", stacklevel=2)
    if problems:
        raise CheckpointError(f"no checkpoint in {folder} can be used: " + "; ".join(problems))
    return None


def keep_newest(folder, count, and_step=None):
    """Remove all checkpoints but the newest `count` and the one of and_step, and what crashes left half-written."""
    paths = list_checkpoints(folder)
    for path in paths[: max(0, len(paths) - count)]:
        if and_step is None or path.name != f"step-{and_step:08d}":
            _remove(path)
    remove_unfinished(folder)


def remove_unfinished(folder):
    """Remove what earlier runs left half-written or half-removed."""
    for path in Path(folder).glob(UNFINISHED + "*"):
        _remove(path)


def require_same(saved, wanted, where):
    """CheckpointError naming every field in which two dicts of plain values differ, nested ones by a dotted name.

    where: which checkpoint, for the message.
    """
    saved, wanted = (dict(_fields(json.loads(json.dumps(values)))) for values in (saved, wanted))
    differing = [name for name in {**saved, **wanted} if _differ(saved.get(name, _Missing), wanted.get(name, _Missing))]
    if differing:
        each = "; ".join(f"{name} is {_said(saved, name)} there and {_said(wanted, name)} here" for name in differing)
        raise CheckpointError(f"{where} was made with another configuration: {each}. Use that one, or another folder.")


def require_same_tensors(saved, wanted, where):
    """CheckpointError naming the first tensors that are missing, too many, or of another shape or dtype."""
    shapes = [{name: f"{t.dtype} {tuple(t.shape)}" for name, t in tensors.items()} for tensors in (saved, wanted)]
    differing = [name for name in {**shapes[0], **shapes[1]} if shapes[0].get(name) != shapes[1].get(name)]
    if differing:
        each = "; ".join(
            f"{name} is {shapes[0].get(name, 'missing')} there and {shapes[1].get(name, 'missing')} here"
            for name in differing[:3]
        )
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise CheckpointError(f"{where} holds the weights of another model: {each}{more}")


def encode_tensors(tensors):
    """{name: tensor} as the bytes of a safetensors file. Tensors that are the same memory are written once."""
    from safetensors.torch import save

    written, first_names, same_as = {}, {}, {}
    for name, tensor in tensors.items():
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        if tensor.numel() and memory in first_names:
            same_as[name] = first_names[memory]
            continue
        first_names[memory] = name
        written[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return save(written, metadata={"same_as": json.dumps(same_as)})


def decode_tensors(data):
    """What encode_tensors made, on the CPU; ValueError where the bytes are no safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # the format's first 8 bytes: header length
    same_as = json.loads(header.get("__metadata__", {}).get("same_as", "{}"))
    return tensors | {name: tensors[other] for name, other in same_as.items()}


def pack_optimizer(optimizer):
    """The state of an optimiser as (tensors, plain values); unpack_optimizer puts it back."""
    saved = optimizer.state_dict()
    tensors, values = {}, {}
    for index, state in saved["state"].items():
        for name, value in state.items():
            group = tensors if isinstance(value, torch.Tensor) else values
            group[f"{index}.{name}"] = value
    return tensors, {"groups": saved["param_groups"], "values": values}


def unpack_optimizer(optimizer, tensors, values):
    """Load into an optimiser what pack_optimizer took from one of the same kind over the same parameters."""
    state = {}
    for key, value in {**tensors, **values["values"]}.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": values["groups"]})


def _fingerprint(data):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _write(path, data):
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _force_to_disk(folder):
    """Also the names in a folder are data that a power cut can lose."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path):
    """Remove a folder so that, stopped half-way, it does not look like a checkpoint."""
    if not path.exists():
        return
    if not path.name.startswith(UNFINISHED):
        gone = path.with_name(f"{UNFINISHED}{path.name}-old-{os.getpid()}")
        shutil.rmtree(gone, ignore_errors=True)
        path = path.rename(gone)
    shutil.rmtree(path)


def _remove_if_possible(path):
    with contextlib.suppress(OSError):
        _remove(path)


def _read_manifest(path):
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        version = manifest["format"]
        if version == FORMAT:
            int(manifest["step"])
            for name, written in manifest["files"].items():
                if Path(name).name != name:
                    raise ValueError(f"{name!r} is no file of it")
                written["bytes"], written["sha256"]
            return manifest
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is no whole checkpoint: it has no {MANIFEST}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is no whole checkpoint: its {MANIFEST} cannot be read ({error})") from error
    raise CheckpointError(f"{path} has format {version!r}; this version of Clearformer reads format {FORMAT}")


def _read(path, written):
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.parent} is no whole checkpoint: {path.name}: {error.strerror}") from error
    if len(data) != written["bytes"]:
        raise CheckpointError(
            f"{path.parent} is no whole checkpoint: {path.name} has {len(data)} of {written['bytes']} bytes"
        )
    if _fingerprint(data) != written:
        raise CheckpointError(f"{path.parent} is damaged: {path.name} does not have the SHA-256 it was written with")
    return data


def _is_whole(path):
    try:
        for name, written in _read_manifest(path)["files"].items():
            _read(path / name, written)
    except CheckpointError:
        return False
    return True


def _not_saved(final, error, size):
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(final.parent).free if final.parent.is_dir() else 0
        why = f"no space is left: it takes {size / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free"
    else:
        why = error.strerror or str(error)
    earlier = [path.name for path in list_checkpoints(final.parent)]
    then = f"; the last one there is {earlier[-1]}" if earlier else ""
    return f"{final} could not be saved: {why}{then}"


class _Missing:
    pass


def _fields(values, before=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{before}{name}.")
        else:
            yield before + name, value


def _differ(one, other):
    return (type(one) is not type(other) and not _both_numbers(one, other)) or one != other


def _both_numbers(one, other):
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))


def _said(fields, name):
    return repr(fields[name]) if name in fields else "missing"
