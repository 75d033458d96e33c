"""The layers that student code is shut in by: which of them are active here, and plain words where some are missing.

Each is judged by what a process confined like a submission's has tried and seen (`clearformer.grading.inside.probe`),
never by what a configuration says. This module can be imported on every system; warm_process needs one with fork.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

LEVELS = ("full", "none")
REFUSED_BY_FILTER = ("EPERM", "ENOSYS")
NONE_MEANS = (
    "With --sandbox none the notebooks' code runs with your rights on this machine: it can read and change your files "
    "and use the network. Verdicts are still reached outside its process. Use it only for notebooks that you would "
    "open and run yourself."
)


class SandboxRefused(Exception):
    """Too few layers are active to run code that nobody vouches for. The text says which, why and what to do."""


@dataclass(frozen=True)
class Layer:
    """name: short; does: what it keeps student code from; required: is nothing run without it; active: has it been
    seen to work here; why: where not, what was seen instead, or ""."""

    name: str
    does: str
    required: bool
    active: bool
    why: str = ""


@dataclass(frozen=True)
class _Rule:
    name: str
    does: str
    problem: object  # function of what was seen -> "" where the layer holds, else what is wrong
    required: bool = True
    at_none: bool = False  # is it there with level "none" too?


def _files(seen):
    if seen["visible"]:
        return f"{seen['visible'][0]} can be seen"
    return f"{seen['writable'][0]} can be written to" if seen["writable"] else ""


def _environment(seen):
    extra = [name for name in seen["environment"] if name not in seen["allowed_environment"]]
    return f"{extra[0]} can be read" if extra else ""


def _processes(seen):
    return "" if seen["process"] == 1 and seen["parent"] == 0 else "other processes can be reached"


def _apart(seen):
    left = [name for name in seen["scratch"] if name not in seen["allowed_scratch"]]
    return f"it finds {left[0]} in its folder" if left else ""


def _programs(seen):
    for what in ("fork", "exec"):
        if seen[what] not in REFUSED_BY_FILTER:
            return f"{what} is possible"
    return f"threads are refused as well ({seen['thread']})" if seen["thread"] else ""


def _network(seen):
    if not all(seen["sockets"]):
        return "sockets can be made"
    others = [name for name in seen["interfaces"] if name != "lo"]
    return f"the interface {others[0]} is there" if others else ""


def _calls(seen):
    if set(seen["calls"].values()) == {"unknown"}:
        return f"there is no filter for {platform.machine()} processors"
    allowed = [name for name, answer in seen["calls"].items() if answer not in REFUSED_BY_FILTER]
    return f"{allowed[0]} is answered" if allowed else ""


def _privileges(seen):
    return f"it has {seen['privileges'][0]}" if seen["privileges"] else ""


def _memory(seen):
    return "" if seen["memory"] else "it can take as much as it likes"


def _disk(seen):
    if not 0 < seen["file"] <= seen["allowed_bytes"]:
        return "files can be of any size"
    if not 0 < seen["scratch_bytes"] <= seen["allowed_bytes"]:
        return "its folder can hold as much as the disk"
    return "" if seen["core"] == 0 else "a crash writes a core file"


def _descriptors(seen):
    return f"{len(seen['descriptors'])} descriptors are open, not one" if len(seen["descriptors"]) != 1 else ""


def _deadline(seen):
    return "" if seen["killed"] else "a process did not end when it was told to"


def _user(seen):
    return "" if seen["user"] != 0 else "it runs as the root of this machine, shut in by the other layers"


RULES = (
    _Rule("files", "it sees Python, its packages and the lesson's package, all read-only, and nothing else", _files),
    _Rule("scratch", "its own empty folder, gone with it; nothing is left for the next submission", _apart),
    _Rule("environment", "no environment variable of yours", _environment, at_none=True),
    _Rule("processes", "it is alone in its process namespace: it sees and signals nobody", _processes),
    _Rule("programs", "it starts no process and no program; threads it may", _programs),
    _Rule("network", "no socket, no network interface", _network),
    _Rule("system calls", "mounting, tracing and the kernel's rarely used parts are refused", _calls),
    _Rule("privileges", "no capability, and no way to gain one", _privileges),
    _Rule("memory", "1 GiB more than at its start, then MemoryError", _memory, at_none=True),
    _Rule("disk", "64 MiB in all, 64 MiB a file, no core file", _disk),
    _Rule("descriptors", "one open descriptor, the channel to its judge", _descriptors, at_none=True),
    _Rule("deadline", "it ends when its judge says so, whatever it does", _deadline, at_none=True),
    _Rule("user", "a user who owns nothing on this machine", _user, required=False),
)


def judged(seen, level):
    """The layers, in a fixed order, by what a probe has `seen`."""
    layers = []
    for rule in RULES:
        if level == "none" and not rule.at_none:
            layers.append(Layer(rule.name, rule.does, False, False, "switched off by --sandbox none"))
        else:
            why = rule.problem(seen)
            layers.append(Layer(rule.name, rule.does, rule.required and level == "full", not why, why))
    return layers


def require(layers):
    """SandboxRefused where a layer that is required is not active."""
    missing = [layer for layer in layers if layer.required and not layer.active]
    if missing:
        which = "\n".join(f"  {layer.name}: {layer.why}" for layer in missing)
        raise refusal(f"These layers of the sandbox do not hold on this machine:\n{which}")


def refusal(why, advice=""):
    """The SandboxRefused that says why nothing was run, and what can be done."""
    parts = [why, advice, "Nothing was run.", NONE_MEANS if can_fork() else ""]
    return SandboxRefused("\n".join(part for part in parts if part))


def can_fork():
    return hasattr(os, "fork")


def is_linux():
    return sys.platform == "linux"


def described(level, layers):
    """For people: what is active, one line a layer."""
    width = max(len(layer.name) for layer in layers)
    lines = [f"Sandbox: {level}, {sum(layer.active for layer in layers)} of {len(layers)} layers active"]
    for layer in layers:
        state = "active " if layer.active else "MISSING" if layer.required else "off    "
        lines.append(f"  {state}  {layer.name:<{width}}  {layer.does}" + (f" ({layer.why})" if layer.why else ""))
    return "\n".join(lines)


def document(level, layers):
    """For reports, as JSON."""
    return {"level": level, "layers": [asdict(layer) for layer in layers]}


# --- where bubblewrap does not start -------------------------------------------------------------------------

INSTALL = (
    "Install bubblewrap: apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora, RHEL), "
    "pacman -S bubblewrap (Arch)."
)
MISSING_FILE = (
    "A part of the Python in use cannot be shown to student code.",
    "It has to be readable for whoever grades. A new environment helps: make lab, in the course's folder.",
)
NO_USER_NAMESPACES = "bubblewrap cannot make user namespaces here: "


def check_system(level):
    """SandboxRefused where this kind of system has no such level: "full" needs Linux, "none" at least fork."""
    if not can_fork() or (level == "full" and not is_linux()):
        raise _not_linux()


def _not_linux():
    return refusal(
        f"The sandbox needs Linux, and this is {platform.system() or sys.platform}.",
        "Grade on a Linux machine, in a virtual machine or in a container. "
        "`clearformer check` runs your own notebooks here.",
    )


def no_bubblewrap():
    return refusal("The sandbox needs the program bubblewrap (bwrap), which is not installed.", INSTALL)


def bubblewrap_failed(words, root="/"):
    """words: what it wrote; root: where the system's files lie, for tests."""
    words = words.strip().splitlines()[0] if words.strip() else "it said nothing"
    why, advice = MISSING_FILE if "source path" in words else _cause(Path(root))
    return refusal(f"{why} It said: {words}", advice)


def _cause(root):
    def setting(name):
        try:
            return (root / "proc/sys" / name).read_text().strip()
        except OSError:
            return ""

    if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" and os.geteuid() != 0:
        return NO_USER_NAMESPACES + "AppArmor forbids them to ordinary programs, as on Ubuntu since 23.10.", (
            "Allow them until the next start: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\n"
            "For good: put that line, without sudo sysctl -w, into a file in /etc/sysctl.d. "
            "Or give /usr/bin/bwrap an AppArmor profile with the rule `userns,`."
        )
    if setting("kernel/unprivileged_userns_clone") == "0" and os.geteuid() != 0:
        return (
            NO_USER_NAMESPACES + "this system forbids them to ordinary users.",
            "Allow them: sudo sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if setting("user/max_user_namespaces") == "0":
        return (
            NO_USER_NAMESPACES + "this system allows none of them.",
            "Allow them: sudo sysctl -w user.max_user_namespaces=15000",
        )
    if any((root / name).exists() for name in (".dockerenv", "run/.containerenv")):
        return "bubblewrap cannot work in this container as it was started.", (
            "Start it with: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …\n"
            "This loosens the container so that a tighter sandbox can be made inside. podman takes the same options."
        )
    return (
        "bubblewrap could not make the sandbox.",
        "Try it by hand: bwrap --unshare-all --ro-bind / / true. If user namespaces are forbidden on this machine, "
        "ask whoever runs it.",
    )
