"""Whether an address is on this machine: what goes there passes no wire that others could read."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is the loopback. A name other than ``localhost`` is not: who knows where it leads?"""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
