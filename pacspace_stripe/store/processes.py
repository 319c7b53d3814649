"""Identity of this process, which leases and shares of rate limits are kept under."""

import os
import socket
import uuid
from collections.abc import Callable

_STARTED = uuid.uuid4().hex[:8]
"""Distinguishes two processes with the same id: a restarted container's process often has the id of the one before."""


def process_name() -> str:
    """Return host, process id and start, by which a starting process recognises leases of dead ones on its host."""
    return f"{socket.gethostname()}/{os.getpid()}/{_STARTED}"


def owner_token() -> str:
    """Return a new lease owner: this process, and one acquisition."""
    return f"{process_name()}/{uuid.uuid4().hex[:12]}"


def is_dead(owner: str, host: str, alive: Callable[[int], bool]) -> bool:
    """Return whether an owner ran on ``host`` in a process that is gone. Nothing is known of other hosts."""
    owner_host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if owner_host != host or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return started.partition("/")[0] != _STARTED
    return not alive(int(pid))


def is_alive(pid: int) -> bool:
    """Return whether a process of this id runs on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
