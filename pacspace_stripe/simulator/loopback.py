"""The rule that keeps the simulators on this machine."""

import ipaddress


def require_loopback(host: str) -> None:
    """Raise ValueError unless ``host`` is this machine's loopback address."""
    if host == "localhost":
        return
    try:
        if ipaddress.ip_address(host.strip("[]")).is_loopback:
            return
    except ValueError:
        pass
    message = f"the simulators use loopback addresses only, not {host}"
    raise ValueError(message)
