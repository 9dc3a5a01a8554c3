"""Whether an owner is gone, asked of real processes here and in other PID namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrator.clock import utc_now
from orchestrator.store.lease import Lease

pytestmark = pytest.mark.every_python

_PRINT = "from orchestrator.clock import utc_now; from orchestrator.store.lease import Lease; "
_PRINT += "print(Lease.own('run', utc_now()))"
_UNSHARED = ("unshare", "--pid", "--fork", "--mount-proc")


def ended(*prefix: str) -> Lease:
    """Return the lease of a process that is gone."""
    done = subprocess.run([*prefix, sys.executable, "-c", _PRINT], stdout=subprocess.PIPE, check=True, text=True)
    return Lease.parse(done.stdout)


def may_unshare() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run([*_UNSHARED, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_who_lives_here_is_there_and_who_lived_here_is_gone() -> None:
    own = Lease.own("run", utc_now())
    assert Lease.parse(str(own)) == own
    assert not own.gone()
    assert ended().gone()


def test_nobody_elsewhere_is_known_to_be_gone() -> None:
    lease = ended()
    assert not replace(lease, host="elsewhere").gone()
    assert not replace(lease, pid_namespace="pid:[1]").gone()
    old = json.loads(str(lease))
    del old["pid_namespace"]
    assert not Lease.parse(json.dumps(old)).gone()


@pytest.mark.skipif(not may_unshare(), reason="needs root and unshare(1), to make a PID namespace")
def test_a_container_with_the_name_of_its_host_is_elsewhere() -> None:
    assert not ended(*_UNSHARED).gone()
