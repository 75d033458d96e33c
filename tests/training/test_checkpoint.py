"""Checkpoints: what comes back, and what a crash at any moment, a full disk and damaged files do to them."""

import errno
import json
import os
import pickletools
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clearformer.training import checkpoint as checkpoint_module
from clearformer.training.checkpoint import (
    CheckpointError,
    decode_tensors,
    encode_tensors,
    keep_newest,
    list_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    pack_optimizer,
    remove_unfinished,
    require_same,
    require_same_tensors,
    save_checkpoint,
    unpack_optimizer,
)

STATE = {"rate": 0.1 + 0.2, "tiny": 5e-324, "nothing": None, "list": [1, 2.5, "ü"], "nan": float("inf")}


def tensors(step=0):
    generator = torch.Generator().manual_seed(step)
    weights = {name: torch.randn(3, 4, generator=generator) for name in ("a.weight", "b.weight")}
    return {"model": weights, "optimizer": {"0.step": torch.tensor(float(step))}}


def save(folder, step):
    return save_checkpoint(folder, step, tensors(step), {"step": step})


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name].dtype == wanted[name].dtype and found[name].shape == wanted[name].shape, name
        assert found[name].numpy(force=True).tobytes() == wanted[name].numpy(force=True).tobytes(), name


def assert_is(checkpoint, step):
    assert checkpoint.step == step and checkpoint.state == {"step": step}
    for name, group in tensors(step).items():
        assert_same(checkpoint.tensors[name], group)


# ---- what comes back


def test_everything_comes_back_to_the_bit(tmp_path):
    odd = {
        "nan": torch.tensor([float("nan"), float("-inf"), -0.0]),
        "scalar": torch.tensor(3, dtype=torch.int64),
        "none": torch.zeros(0, 5),
        "bool": torch.tensor([True, False]),
        "half": torch.randn(3).half(),
        "double": torch.randn(3, dtype=torch.float64),
        "turned": torch.arange(6.0).view(2, 3).T,
        "part": torch.arange(10.0)[2:5],
        "stretched": torch.tensor([1.0]).expand(4),
    }
    path = save_checkpoint(tmp_path / "new" / "folder", 7, {"model": odd, "other": {}}, STATE)
    found = load_checkpoint(path)
    assert path.name == "step-00000007" and found.step == 7 and found.state == STATE
    assert_same(found.tensors["model"], odd)
    assert found.tensors["other"] == {}


def test_weights_are_a_safetensors_file_that_the_library_reads(tmp_path):
    assert_same(load_file(save(tmp_path, 3) / "model.safetensors"), tensors(3)["model"])


def test_a_weight_shared_by_two_names_is_written_once_and_comes_back_under_both():
    weight = torch.randn(100, 10)
    data = encode_tensors({"embedding": weight, "output": weight, "copy": weight.clone()})
    assert 2 * 4000 < len(data) < 3 * 4000
    assert_same(decode_tensors(data), {"embedding": weight, "output": weight, "copy": weight})


def test_nothing_in_it_is_pickled(tmp_path):
    path = save(tmp_path, 3)
    assert sorted(file.name for file in path.iterdir()) == [
        "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json",
    ]  # fmt: skip
    assert "pickle" not in Path(checkpoint_module.__file__).read_text().replace("is pickled", "")
    for file in path.iterdir():
        with pytest.raises(Exception):  # noqa: B017 (whatever it raises: these bytes are no pickle)
            list(pickletools.genops(file.read_bytes()))


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("fused", [False, True])
def test_an_optimizer_goes_on_to_the_same_bits(kind, fused):
    def make():
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 3)
        options = dict(momentum=0.9) if kind is torch.optim.SGD else dict(betas=(0.9, 0.98), eps=1e-9)
        return model, kind(model.parameters(), lr=0.1, fused=fused, **options)

    def steps(model, optimizer, seeds):
        for seed in seeds:
            optimizer.zero_grad()
            model(torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
            optimizer.step()

    model, optimizer = make()
    steps(model, optimizer, range(3))
    packed, values = pack_optimizer(optimizer)
    data, text = encode_tensors(packed), json.dumps(values)
    resumed, its_optimizer = make()
    resumed.load_state_dict(model.state_dict())
    unpack_optimizer(its_optimizer, decode_tensors(data), json.loads(text))
    for each in ((model, optimizer), (resumed, its_optimizer)):
        steps(*each, range(3, 6))
    assert_same(resumed.state_dict(), model.state_dict())


# ---- which one is used


def test_the_newest_is_used_and_steps_are_counted_not_spelled(tmp_path):
    for step in (9, 10, 123456789, 2):
        save(tmp_path, step)
    assert [int(path.name[5:]) for path in list_checkpoints(tmp_path)] == [2, 9, 10, 123456789]
    assert_is(newest_checkpoint(tmp_path), 123456789)


def test_no_folder_and_an_empty_one_hold_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path / "none") is None and newest_checkpoint(tmp_path) is None


def test_other_things_in_the_folder_are_left_alone(tmp_path):
    for name in ("step-x", "step-1", "notes.txt", "step-00000001.zip"):
        (tmp_path / name).mkdir()
    save(tmp_path, 3)
    keep_newest(tmp_path, 1)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000003"]
    assert len(list(tmp_path.iterdir())) == 5


def test_keeping_the_newest_removes_the_others_and_keeps_the_best(tmp_path):
    for step in range(1, 7):
        save(tmp_path, step)
    keep_newest(tmp_path, 2, and_step=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000005", "step-00000006"]


DAMAGE = {
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "gone": lambda path: path.unlink(),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "one bit turned": lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    "all zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_one_is_never_used_and_the_one_before_it_is(tmp_path, name, damage):
    save(tmp_path, 1)
    DAMAGE[damage](save(tmp_path, 2) / name)
    with pytest.raises(CheckpointError, match=f"step-00000002.*{name}"):
        load_checkpoint(tmp_path / "step-00000002")
    with pytest.warns(UserWarning, match="step-00000002"):
        assert_is(newest_checkpoint(tmp_path), 1)


def test_where_all_are_damaged_it_says_so_and_does_not_begin_anew(tmp_path):
    (save(tmp_path, 1) / "state.json").unlink()
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"no checkpoint in .* can be used"):
        newest_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "manifest, says",
    [
        ({"format": 2}, "has format 2; this version of Clearformer reads format 1"),
        ([], "cannot be read"),
        ({"format": 1}, "cannot be read"),
        ({"format": 1, "step": "x", "files": {}}, "cannot be read"),
        ({"format": 1, "step": 1, "files": []}, "cannot be read"),
        ({"format": 1, "step": 1, "files": {}}, "cannot be used"),
        ({"format": 1, "step": 1, "files": {"../../secret": {"bytes": 1, "sha256": ""}}}, "is no file of it"),
        ({"format": 1, "step": 1, "files": {"state.json": 5}}, "cannot be read"),
    ],
)
def test_a_strange_manifest_is_refused(tmp_path, manifest, says):
    path = save(tmp_path, 1)
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(path)


def test_a_whole_one_is_not_written_over_and_a_damaged_one_is(tmp_path):
    path = save(tmp_path, 1)
    with pytest.raises(CheckpointError, match="already there"):
        save_checkpoint(tmp_path, 1, {}, {})
    assert_is(load_checkpoint(path), 1)
    (path / "model.safetensors").write_bytes(b"")
    save(tmp_path, 1)
    assert_is(load_checkpoint(path), 1)
    assert os.listdir(tmp_path) == ["step-00000001"]


# ---- crashes and full disks


class Faults:
    """Counts what is asked of the file system; the nth time, something else happens."""

    def __init__(self, monkeypatch, fail_at=None, happens=None):
        self.calls, self.fail_at, self.happens = [], fail_at, happens
        monkeypatch.setattr(checkpoint_module, "open", self.wrapped(open), raising=False)
        monkeypatch.setattr(os, "fsync", self.wrapped(os.fsync))
        monkeypatch.setattr(os, "rename", self.wrapped(os.rename))
        monkeypatch.setattr(Path, "mkdir", self.wrapped(Path.mkdir))

    def wrapped(self, call):
        def counted(*arguments, **options):
            self.calls.append((call.__name__, str(arguments[0])))
            if len(self.calls) == self.fail_at:
                self.happens()
            return call(*arguments, **options)

        return counted


def fail(code):
    raise OSError(code, os.strerror(code))


def count_calls(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        faults = Faults(patched)
        save(tmp_path / "counted", 2)
    return faults.calls


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_error_at_any_moment_loses_nothing_and_leaves_nothing(tmp_path, monkeypatch, code):
    number = len(count_calls(tmp_path, monkeypatch))
    assert number >= 11  # 2 folders, 4 files opened and forced, 1 folder forced, renamed, 1 forced
    for n in range(1, number + 1):
        folder = tmp_path / str(n)
        save(folder, 1)
        with monkeypatch.context() as patched, pytest.raises(CheckpointError, match="step-00000002") as raised:
            Faults(patched, n, lambda: fail(code))
            save(folder, 2)
        assert ("no space is left" in str(raised.value)) == (code != errno.EIO)
        assert_is(load_checkpoint(folder / "step-00000001"), 1)
        newest = newest_checkpoint(folder)
        if n < number:  # the last call comes after the renaming: then it is there, whole
            assert_is(newest, 1)
            assert os.listdir(folder) == ["step-00000001"]
            assert "the last one there is step-00000001" in str(raised.value)
            assert_is(load_checkpoint(save(folder, 2)), 2)  # and with the space back it can be saved
        else:
            assert_is(newest, 2)


def test_a_crash_at_any_moment_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    number = len(count_calls(tmp_path, monkeypatch))
    for n in range(1, number + 1):
        folder = tmp_path / str(n)
        save(folder, 1)
        child = os.fork()
        if not child:  # a process that dies at this call, without tidying up
            with monkeypatch.context() as patched:
                Faults(patched, n, lambda: os._exit(9))
                save(folder, 2)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert_is(newest_checkpoint(folder), 1 if n < number else 2)
        remove_unfinished(folder)
        assert not list(folder.glob(".*"))
        assert_is(newest_checkpoint(folder), 1 if n < number else 2)


def test_every_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = [name for name, _ in count_calls(tmp_path, monkeypatch)]
    assert calls[-7:] == ["open", "fsync", "open", "fsync", "fsync", "rename", "fsync"]


def test_where_no_file_can_grow_the_error_says_so(tmp_path):
    save(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(CheckpointError) as raised:
            save_checkpoint(tmp_path, 2, {"model": {"w": torch.ones(1_000_000)}}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = str(raised.value)
    assert "step-00000002 could not be saved: no space is left: it takes 4.0 MB" in said
    assert "the last one there is step-00000001" in said
    assert os.listdir(tmp_path) == ["step-00000001"] and newest_checkpoint(tmp_path).step == 1


FULL_DISK = """
import sys, torch
from pathlib import Path
from clearformer.training.checkpoint import CheckpointError, save_checkpoint
folder = Path(sys.argv[1])
save_checkpoint(folder, 1, {"model": {"w": torch.ones(10)}}, {})
try:
    save_checkpoint(folder, 2, {"model": {"w": torch.ones(1_000_000)}}, {})
except CheckpointError as error:
    print(error)
"""


def can_mount():
    return (
        shutil.which("unshare")
        and not subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True
        ).returncode
    )


@pytest.mark.skipif(not can_mount(), reason="this machine does not let a test mount a small disk")
def test_a_disk_that_is_really_full_is_named(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=1m none "$0" && "$@" && ls -A "$0"'
    command = ["unshare", "-rm", "bash", "-c", script, str(disk), sys.executable, "-c", FULL_DISK, str(disk)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "could not be saved: no space is left: it takes 4.0 MB, 1.0 MB are free" in said
    assert said.splitlines()[-1] == "step-00000001"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="for root no folder is read-only")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="could not be saved: Permission denied"):
        save(tmp_path, 1)


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(CheckpointError, match="could not be saved"):
        save(tmp_path / "taken", 1)


# ---- another configuration


def test_the_fields_that_differ_are_named_and_no_others():
    saved = {"model": {"d_model": 64, "norm": "post", "old": 1}, "settings": {"betas": [0.9, 0.98]}}
    wanted = {"model": {"d_model": 128, "norm": "post", "new": None}, "settings": {"betas": (0.9, 0.98)}}
    with pytest.raises(CheckpointError) as raised:
        require_same(saved, wanted, "step-00000001")
    said = str(raised.value)
    assert "model.d_model is 64 there and 128 here" in said
    assert "model.old is 1 there and missing here" in said and "model.new is missing there and None here" in said
    assert "norm" not in said and "betas" not in said and "step-00000001" in said


@pytest.mark.parametrize("one, other", [(1, True), (0, None), (1.0, "1.0"), (None, False), (0.1, 0.1 + 1e-17 + 2e-17)])
def test_values_that_only_look_alike_differ(one, other):
    if one == other and type(one) is type(other):
        require_same({"x": one}, {"x": other}, "it")
    else:
        with pytest.raises(CheckpointError, match="x is"):
            require_same({"x": one}, {"x": other}, "it")


def test_1_and_1_point_0_are_the_same_number():
    require_same({"x": 1}, {"x": 1.0}, "it")


def test_weights_of_another_model_are_named():
    wanted = {"a": torch.zeros(2, 3), "b": torch.zeros(1), "c": torch.zeros(1)}
    found = {"a": torch.zeros(3, 2), "b": torch.zeros(1).double(), "d": torch.zeros(1)}
    with pytest.raises(CheckpointError) as raised:
        require_same_tensors(found, wanted, "step-00000001")
    said = str(raised.value)
    assert "a is torch.float32 (3, 2) there and torch.float32 (2, 3) here" in said
    assert "b is torch.float64 (1,) there" in said and "1 more" in said
