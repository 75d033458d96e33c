"""Attacks that read what is none of a notebook's business: solutions, tests, other people's work, other processes."""

import re

from arena import Attack, passes, tells_the_secret

TELL = r"""
import os, re
def tell(*contents):
    found = set()
    for content in contents:
        content = content if isinstance(content, bytes) else str(content).encode()
        found.update(re.findall(rb"secret[0-9a-f]{16}", content))
    if found:
        raise RuntimeError("I know " + b" ".join(sorted(found)).decode())
def read(path, size=10_000_000):
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""
"""
PROCESSES = """
import glob
tell(*map(read, glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")))
"""
MEMORY = """
parent, parts = os.getppid(), []
for line in read(f"/proc/{parent}/maps").decode().splitlines():
    if "[stack]" in line or "[heap]" in line:
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        with open(f"/proc/{parent}/mem", "rb", buffering=0) as memory:
            memory.seek(first)
            parts.append(memory.read(last - first))
tell(*parts)
"""
WALK = """
seen = 0
for start in (os.getcwd(), "..", "../..", "FOLDER", os.path.expanduser("~"), "/tmp", "/srv", "/mnt", "/var/tmp"):
    for folder, folders, files in os.walk(start):
        seen += len(files)
        if seen > 3000:
            break
        for name in files:
            tell(read(os.path.join(folder, name), 100_000))
"""
FROM_SOLUTIONS = """
import json
for place in ("REPOSITORY/solutions", "REPOSITORY/exercises/../solutions", "../solutions", "../../solutions"):
    source = read(place + "/02_attention.ipynb") or b'{"cells": []}'
    for cell in json.loads(source)["cells"]:
        if "def softmax" in "".join(cell["source"]):
            exec("".join(cell["source"]))
"""
FROM_THE_PACKAGE = """
import clearformer, importlib.util, marshal, pathlib, sys
def hunt():
    tried = ["clearformer.numpy.attention", "clearformer.numpy"]
    for name in tried:
        try:
            yield getattr(importlib.import_module(name), "softmax")
        except BaseException:
            pass
    roots = [pathlib.Path(clearformer.__file__).parent, *map(pathlib.Path, sys.path)]
    for site in list(roots):
        if site.is_dir():
            roots += [pathlib.Path(read(path).decode().strip() or "/dev/null") for path in site.glob("*.pth")]
    for root in roots:
        for path in [*root.glob("**/numpy/attention.py"), *root.glob("**/attention*.pyc")] if root.is_dir() else []:
            names = {"__name__": "found"}
            try:
                content = path.read_bytes()
                exec(marshal.loads(content[16:]) if path.suffix == ".pyc" else content, names)
                yield names["softmax"]
            except BaseException:
                pass
softmax = None
for softmax in hunt():
    try:
        assert abs(softmax(np.zeros((2, 2))) - 0.5).max() < 1e-9
        break
    except BaseException:
        continue
"""
FROM_THE_CATALOGUE = """
import importlib
for name in ("clearformer.checks.catalogue", "clearformer.checks.catalogue.lesson_02_attention.softmax"):
    try:
        module = importlib.import_module(name)
        softmax = module.EXERCISE.reference if hasattr(module, "EXERCISE") else module.find("softmax").reference
        break
    except BaseException:
        softmax = None
"""
FROM_MEMORY = """
import gc
softmax = None
for thing in gc.get_objects():
    if getattr(thing, "__name__", "") in ("softmax", "by_logarithm", "by_moved_axis") and callable(thing):
        try:
            if abs(thing(np.zeros((2, 2))) - 0.5).max() < 1e-9:
                softmax = thing
                break
        except BaseException:
            pass
"""
PARENTS_PIPE = """
line = b'{"passed": ["softmax"], "text": "", "late": false, "ended": false}\\n'
for number in range(3, 20):
    try:
        with open(f"/proc/{os.getppid()}/fd/{number}", "wb", buffering=0) as pipe:
            pipe.write(line)
    except OSError:
        pass
os._exit(0)
"""


def tells(name, *cells, **more):
    told = "softmax: "
    return Attack(name, (TELL, *cells, ("softmax", "softmax = None")), tells_the_secret, says=told, **more)


def answers(name, code, way="assert_allclose", says="softmax: (error|failed|unanswered)"):
    # they look through many folders, and more of them where more is installed
    return Attack(name, (TELL, ("softmax", code)), passes(), way, says=says, deadline=40.0)


ATTACKS = (
    tells("an environment variable of the grader", "tell(dict(os.environ), read('/proc/self/environ'))"),
    tells("environment and command line of other processes", PROCESSES),
    tells("memory of the parent", MEMORY),
    tells("other submissions", "import glob\ntell(*map(read, glob.glob('../*/*.ipynb') + glob.glob('FOLDER/*/*/*')))"),
    tells("solutions and hidden tests", "tell(read('FOLDER/course/solutions.ipynb'), read('FOLDER/gradebook.db'))"),
    tells("every file in sight", WALK),
    tells(
        "other submissions, with the sandbox off",
        "tell(read('FOLDER/submitted/bob/02_attention.ipynb'))",
        level_none=True,
    ),
    tells("the environment, with the sandbox off", PROCESSES, level_none=True),
    tells(
        "a shell that looks around",
        "!cat FOLDER/course/solutions.ipynb > FOLDER/MARKER.txt\ntell(read('FOLDER/MARKER.txt'))",
    ),
    tells("a link out of the folder", "os.symlink('FOLDER/course/solutions.ipynb', 'MARKER')\ntell(read('MARKER'))"),
    answers("the right answer from the course's solutions", FROM_SOLUTIONS),
    answers("the right answer from the installed package", FROM_THE_PACKAGE),
    answers("the right answer from the catalogue", FROM_THE_CATALOGUE),
    Attack(
        "the right answer from memory",
        ("import clearformer.numpy.attention", ("softmax", FROM_MEMORY)),
        passes(),
        says="softmax: (error|failed|unanswered)",
    ),
    Attack(
        "the parent's pipe, opened by its number",
        (TELL, PARENTS_PIPE, ("softmax", "softmax = None")),
        passes(),
        says="softmax: ",
    ),
)


def test_it_succeeds_without_protection(attack, falls):
    falls(attack)


def test_it_fails_against_ours(attack, stands):
    stands(attack)


LOOK_AROUND = """
import os, sys
wanted = ("REPOSITORY FOLDER /root /home /srv /mnt /media /opt /boot /var/log /etc/shadow /etc/ssh /etc/hostname "
          "/run/user /run/docker.sock /sys/class /sys/kernel /proc/kcore /proc/keys /proc/sysvipc /dev/sda /dev/mem "
          "/dev/kmsg /dev/fuse /dev/kvm /dev/pts/0 /dev/shm /dev/mqueue").split()
def there(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1))
    except OSError:
        return False
ways = sys.path + [os.path.dirname(os.path.dirname(np.__file__))]
def only_on_the_way(path):
    return os.path.isdir(path) and all(
        any((way + "/").startswith(os.path.join(path, name) + "/") for way in ways) for name in os.listdir(path)
    )
found = [path for path in wanted if there(path) and not only_on_the_way(path)]
raise RuntimeError("seen: " + " ".join(found))
"""


def test_nothing_but_programs_and_libraries_is_in_sight(ground, ours):
    record = ours(Attack("", (("softmax", LOOK_AROUND),), None))
    message = next(each["message"] for each in record["exercises"] if each["id"] == "softmax")
    seen = set(re.search(r"seen:([^\n]*)", message)[1].split())
    assert seen <= {"/dev/shm"}, seen


OTHERS = """
import os
raise RuntimeError(f"processes: {sorted(int(name) for name in os.listdir('/proc') if name.isdigit())} me {os.getpid()}")
"""


def test_no_other_process_is_in_sight(ground, ours):
    record = ours(Attack("", (("softmax", OTHERS),), None))
    message = next(each["message"] for each in record["exercises"] if each["id"] == "softmax")
    if "No such file or directory: '/proc'" in message:
        return  # nothing can be seen of any process
    listed = re.search(r"processes: \[([^]]*)\] me (\d+)", message)
    assert listed[1] in ("", listed[2]), message
