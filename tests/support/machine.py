"""A machine of its own: a real systemd as the first process of its namespaces, over this system's files, no network.

What is written in it goes to memory and ends with it. `/opt/orch` is there as the how-to would have installed it, made
of the interpreter, the packages and the source that the tests run with; nothing else of `orch` is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYSTEMD = Path("/lib/systemd/systemd")
PATIENCE = 300.0  # seconds until a test gives up; none of them is about time
_ROOT = Path(__file__).resolve().parents[2]
_TOOLS = ("unshare", "nsenter", "mount", "pivot_root", "runuser", "systemctl")

_BOOT = r"""
set -e
box=$1 python=$2 packages=$3 source=$4
mount -t tmpfs tmpfs "$box"
mkdir "$box/upper" "$box/work" "$box/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$box/upper,workdir=$box/work" "$box/root"
cd "$box/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
# Of what Debian starts at boot, only what concerns nobody outside of here.
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
wants=usr/lib/systemd/system/sysinit.target.wants
mount -t tmpfs -o mode=755 tmpfs $wants
ln -s ../systemd-journald.service $wants/
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' > etc/systemd/journald.conf.d/box.conf
rm -rf opt etc/orch srv/tuning etc/fstab
echo box > etc/hostname
mkdir -p opt/python opt/packages opt/source
mount --bind -o ro "$python" opt/python
mount --bind -o ro "$packages" opt/packages
mount --bind -o ro "$source" opt/source
mkdir .outside
pivot_root . .outside
umount --lazy /.outside
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin systemd_program --unit=basic.target --log-target=journal
"""

_ORCH = """#!/opt/orch/bin/python -P
import sys
from orchestrator.cli import main
sys.exit(main())
"""


def why_not() -> str | None:
    """Say why no such machine can be had here; None where it can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces and mounts"
    if not SYSTEMD.exists():
        return f"there is no {SYSTEMD} (Debian: apt-get install systemd)"
    if missing := [tool for tool in _TOOLS if not shutil.which(tool)]:
        return f"not installed: {', '.join(missing)}"
    if _cgroup_root() is None:
        return "no cgroup v2 hierarchy can be written to"
    tried = subprocess.run(
        [
            "unshare",
            "--mount",
            "--pid",
            "--net",
            "--uts",
            "--ipc",
            "--cgroup",
            "--fork",
            "mount",
            "-t",
            "tmpfs",
            "t",
            "/mnt",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces are not allowed: {tried.stderr.strip()}" if tried.returncode else None


@dataclass(frozen=True, slots=True)
class Machine:
    """A booted one.

    Attributes:
        pid: its first process, as it is numbered outside.
    """

    pid: int

    def __call__(self, *argv: str, user: str = "root", cwd: str = "/", check: bool = True) -> str:
        """Run a command and return what it wrote to its standard output."""
        done = self.run(*argv, user=user, cwd=cwd)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout.strip()

    def run(self, *argv: str, user: str = "root", cwd: str = "/", **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a clean environment, as a login of that user would have it."""
        return subprocess.run(
            [
                *("nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"),
                *("env", "-i", "PATH=/opt/orch/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "COLUMNS=100"),
                *(("HOME=/root",) if user == "root" else ("runuser", "-u", user, "--")),
                *("env", f"--chdir={cwd}", *argv),
            ],
            **{
                "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                "text": True, "timeout": PATIENCE, **options,
            },
            check=False,
        )  # fmt: skip

    def path(self, inside: str) -> Path:
        """Return where a file of the machine is, seen from outside."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Write a file, and the directories above it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def show(self, prop: str, unit: str = "orch") -> str:
        """Return a property of a unit."""
        return self("systemctl", "show", "--property", prop, "--value", unit)

    def journal(self, unit: str = "orch") -> str:
        """Return what a unit logged, and what systemd has to say about it."""
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (
                f"waited for {what}\n{self.run('systemctl', 'status', 'orch').stdout}{self.journal()}"
            )
            time.sleep(0.05)


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a machine; at the end nothing of it is left.

    Args:
        folder: an empty one, over which the machine is mounted.
    """
    group = _cgroup_root() / f"orch-test-{os.getpid()}-{time.monotonic_ns()}"  # type: ignore[operator]  # why_not saw it
    group.mkdir()
    script = _BOOT.replace("systemd_program", str(SYSTEMD))
    started = subprocess.Popen(
        [
            *("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group)),
            *("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"),
            *("--propagation", "private", "sh", "-c", script, "boot", str(folder)),
            *(sys.base_prefix, sysconfig.get_path("purelib"), str(_ROOT / "src")),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        machine = Machine(_first_process(started))
        _wait_until_up(machine, started)
        _install(machine)
        yield machine
    finally:
        started.kill()  # and with it the first process, and with that all of them
        started.communicate()
        _remove(group)


def _first_process(started: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while not (pids := children.read_text().split()):
        assert started.poll() is None, started.communicate()[0]
        assert time.monotonic() < deadline, "nothing was started"
        time.sleep(0.01)
    return int(pids[0])


def _wait_until_up(machine: Machine, started: subprocess.Popen[str]) -> None:
    program = Path(f"/proc/{machine.pid}/comm")
    deadline = time.monotonic() + PATIENCE
    while program.read_text() != "systemd\n" or machine.run("systemctl", "is-system-running").stdout.strip() not in {
        "running",
        "degraded",
    }:
        if started.poll() is not None or time.monotonic() > deadline:
            started.kill()
            raise AssertionError(f"the machine did not boot: {started.communicate()[0]}")
        time.sleep(0.02)


def _install(machine: Machine) -> None:
    # An interpreter that was built with its library apart looks for it where it was built, perhaps in root's home.
    machine.write("/etc/ld.so.conf.d/0-box.conf", "/opt/python/lib\n")
    machine("ldconfig")
    python = f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    machine(python, "-m", "venv", "--without-pip", "/opt/orch")
    site = next(machine.path("/opt/orch/lib").glob("python*")) / "site-packages"
    (site / "box.pth").write_text("/opt/source\n/opt/packages\n", encoding="utf-8")
    machine.write("/opt/orch/bin/orch", _ORCH, 0o755)


def _cgroup_root() -> Path | None:
    """Return the cgroup that this process is in, in the v2 hierarchy, where it may be divided further."""
    with suppress(OSError, StopIteration):
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        point = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
        own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        root = Path(point + own)
        if os.access(root / "cgroup.procs", os.W_OK):
            return root
    return None


def _remove(group: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while group.exists() and time.monotonic() < deadline:
        with suppress(OSError):
            (group / "cgroup.kill").write_text("1")
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.02)
