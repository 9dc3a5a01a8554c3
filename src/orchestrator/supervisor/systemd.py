"""Tells systemd how the daemon is: ready, alive, reloading, stopping. Silent where systemd did not start it.

The protocol is one datagram of `KEY=value` lines: `man 3 sd_notify`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Speaks to the service manager that the environment names.

    Args:
        environ: of the process; NOTIFY_SOCKET and WATCHDOG_USEC count.
        pid: of this process: a WATCHDOG_PID that names another one means that the watchdog is not for us.
    """

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        usec = environ.get("WATCHDOG_USEC", "") if environ.get("WATCHDOG_PID", str(pid)) == str(pid) else ""
        self.watchdog = timedelta(microseconds=int(usec)) if usec.isdigit() and int(usec) else None
        """How long systemd waits for a sign of life; None where it does not watch."""

    def tell(self, **state: str | int) -> None:
        """Send states, e.g. `tell(READY=1, STATUS="serving")`. A manager that does not listen harms nobody."""
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in state.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)  # noqa: FBT003 - the standard library has it so
            to.sendto(text.encode(), self._address)

    def reloading(self) -> None:
        """A reload begins; the next READY ends it."""
        self.tell(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)

    def stopping(self, within: timedelta) -> None:
        """The daemon stops, which may take so long."""
        self.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=round(within.total_seconds() * 1_000_000))

    async def run_watchdog(self) -> None:
        """Give signs of life from the event loop: one that hangs gives none, and systemd restarts it."""
        if self.watchdog is None:
            return
        while True:
            self.tell(WATCHDOG=1)
            await asyncio.sleep(self.watchdog.total_seconds() / 3)


def from_environment() -> Notifier:
    """Return the notifier of this process, and hide it from every process that this one starts."""
    notifier = Notifier(os.environ, os.getpid())
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)
    return notifier
