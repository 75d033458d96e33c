"""Which layers hold is judged by what was seen, and a refusal says what is missing, why, and what to do."""

import json
import os
import stat

import pytest

from clearformer.grading.sandbox import layers
from clearformer.grading.sandbox.layers import SandboxRefused
from clearformer.grading.sandbox.warm_process import WarmProcess, examine

GOOD = {
    "visible": [],
    "writable": [],
    "scratch": [],
    "allowed_scratch": ["matplotlib"],
    "scratch_bytes": 64 << 20,
    "allowed_bytes": 64 << 20,
    "environment": ["HOME"],
    "allowed_environment": ["HOME", "PATH"],
    "process": 1,
    "parent": 0,
    "user": 65534,
    "fork": "EPERM",
    "exec": "EPERM",
    "thread": "",
    "sockets": ["EPERM", "EPERM"],
    "interfaces": ["lo"],
    "calls": {"ptrace": "EPERM", "bpf": "ENOSYS"},
    "privileges": [],
    "memory": "ENOMEM",
    "core": 0,
    "file": 64 << 20,
    "descriptors": [3],
    "killed": True,
}
# What would be seen where a layer does not hold.
BAD = [
    ("files", {"visible": ["/etc/passwd"]}),
    ("files", {"writable": ["/usr/lib"]}),
    ("scratch", {"scratch": ["left"]}),
    ("environment", {"environment": ["HOME", "TOKEN"]}),
    ("processes", {"process": 512}),
    ("processes", {"parent": 1}),
    ("programs", {"fork": ""}),
    ("programs", {"exec": "ENOENT"}),
    ("programs", {"thread": "RuntimeError"}),
    ("network", {"sockets": ["EPERM", ""]}),
    ("network", {"interfaces": ["lo", "eth0"]}),
    ("system calls", {"calls": {"ptrace": "ESRCH", "bpf": "EPERM"}}),
    ("system calls", {"calls": {"ptrace": "", "bpf": "EPERM"}}),
    ("system calls", {"calls": {"ptrace": "unknown", "bpf": "unknown"}}),
    ("privileges", {"privileges": ["capabilities"]}),
    ("memory", {"memory": ""}),
    ("disk", {"file": -1}),
    ("disk", {"scratch_bytes": 1 << 40}),
    ("disk", {"core": -1}),
    ("descriptors", {"descriptors": [3, 4]}),
    ("deadline", {"killed": False}),
]


def test_all_layers_hold_where_all_was_refused():
    found = layers.judged(GOOD, "full")
    assert all(layer.active for layer in found)
    layers.require(found)


@pytest.mark.parametrize(("name", "seen"), BAD, ids=lambda value: value if isinstance(value, str) else "-".join(value))
def test_a_layer_that_does_not_hold_is_named_and_nothing_is_run(name, seen):
    found = layers.judged(GOOD | seen, "full")
    assert [layer.name for layer in found if not layer.active] == [name]
    with pytest.raises(SandboxRefused, match=f"(?s)  {name}: .*Nothing was run.*--sandbox none"):
        layers.require(found)


def test_each_required_layer_is_seen_missing_in_these_tests():
    assert {name for name, _ in BAD} == {rule.name for rule in layers.RULES if rule.required}


def test_root_without_a_second_user_is_said_and_allowed():
    found = layers.judged(GOOD | {"user": 0}, "full")
    layers.require(found)
    assert "root of this machine" in layers.described("full", found)


def test_level_none_requires_nothing_and_says_what_is_off():
    found = layers.judged(GOOD, "none")
    layers.require(found)
    assert not any(layer.required for layer in found)
    assert {layer.name for layer in found if layer.active} == {"environment", "memory", "descriptors", "deadline"}


def test_this_machine_has_every_layer(sandbox_full):
    assert [layer.name for layer in sandbox_full if not layer.active and layer.required] == []
    assert [layer.name for layer in sandbox_full] == [rule.name for rule in layers.RULES]


def test_level_none_can_be_examined():
    found = {layer.name: layer for layer in examine("none")}
    assert found["deadline"].active and found["descriptors"].active
    assert not found["files"].active


def test_the_description_for_reports_is_json_and_the_same_each_time(sandbox_full):
    first, second = (json.dumps(layers.document("full", examine("full"))) for _ in range(2))
    assert first == second
    assert json.loads(first)["level"] == "full"


# --- where there is no sandbox -------------------------------------------------------------------------------


@pytest.fixture
def fake_bwrap(tmp_path, monkeypatch):
    """fake_bwrap(script): what is found as bwrap from now on."""

    def put(script):
        program = tmp_path / "bin" / "bwrap"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return put


def refusal(level="full"):
    with pytest.raises(SandboxRefused) as refused, WarmProcess("02_attention", level) as warm:
        warm.open()
    return str(refused.value)


def test_bubblewrap_that_is_not_installed_is_named_with_the_way_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    text = refusal()
    assert "not installed" in text
    for command in ("apt install bubblewrap", "dnf install bubblewrap", "pacman -S bubblewrap", "--sandbox none"):
        assert command in text


def test_bubblewrap_that_fails_is_quoted(fake_bwrap):
    fake_bwrap("echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    text = refusal()
    assert "It said: bwrap: No permissions to create new namespace" in text
    assert "Nothing was run." in text and "--sandbox none" in text


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (
            "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("proc/sys/kernel/unprivileged_userns_clone", "0\n", "kernel.unprivileged_userns_clone=1"),
        ("proc/sys/user/max_user_namespaces", "0\n", "user.max_user_namespaces="),
        (".dockerenv", "", "docker run --security-opt seccomp=unconfined"),
        ("run/.containerenv", "", "docker run --security-opt seccomp=unconfined"),
        ("nothing", "", "ask whoever runs it"),
    ],
)
def test_the_cause_on_this_machine_is_named_with_its_cure(tmp_path, monkeypatch, file, content, says):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(content)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert says in str(layers.bubblewrap_failed("bwrap: setting up uid map: Permission denied", tmp_path))


def test_a_file_that_is_not_there_is_not_blamed_on_the_container(tmp_path):
    (tmp_path / ".dockerenv").touch()
    text = str(layers.bubblewrap_failed("bwrap: Can't find source path /x: Permission denied", tmp_path))
    assert "docker" not in text and "source path /x" in text


def test_a_sandbox_without_a_namespace_is_refused(new_warm, sandbox_full, monkeypatch):
    """A bubblewrap that leaves out what it was asked for is found out by trying."""
    from clearformer.grading.sandbox import enclosure

    whole = enclosure._namespaces
    monkeypatch.setattr(
        enclosure, "_namespaces", lambda info, block: [part for part in whole(info, block) if part != "--unshare-net"]
    )
    with new_warm("full") as warm, pytest.raises(SandboxRefused, match="network: the interface"):
        warm.open()


def test_other_systems_are_told_what_they_have(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SandboxRefused, match=r"(?s)needs Linux.*--sandbox none"):
        layers.check_system("full")
    layers.check_system("none")


def test_windows_has_neither_level(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.delattr(os, "fork")
    for level in layers.LEVELS:
        with pytest.raises(SandboxRefused) as refused:
            layers.check_system(level)
        assert "--sandbox none" not in str(refused.value)
