"""Whose address a request comes from: the peer's, or what a proxy of ours says of it in X-Forwarded-For. Pure.

The header is a claim: only entries written by proxies that we trust count, read from the right (each proxy appends whom it heard).
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_MOST_HOPS = 32
_LONGEST = 64


def networks_of(cidrs: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of CIDRs or single addresses; raises `ValueError` on anything else."""
    return tuple(ip_network(cidr.strip(), strict=False) for cidr in cidrs)


def client_address(peer: str, forwarded_for: bytes | None, trusted: Sequence[Network]) -> str:
    """Return the client's address in its usual form (an IPv4-mapped IPv6 one as IPv4); the peer's text where it is no address.

    `peer` is the connection's other end, `forwarded_for` the header's value (several headers joined with commas).
    """
    found = _address(peer)
    if found is None:
        return peer[:_LONGEST]
    if forwarded_for is None or not trusted:
        return str(found)
    for entry in reversed(forwarded_for.decode("latin-1").split(",")[-_MOST_HOPS:]):
        if not any(found in network for network in trusted):
            break
        said = _address(_without_port(entry.strip()))
        if said is None:
            break  # "unknown", "_hidden" or a forgery: the last hop that is sure has to do
        found = said
    return str(found)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    return _parsed(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=2_048)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _without_port(entry: str) -> str:
    """Return the address of `1.2.3.4:5678`, `[2001:db8::1]:5678` and of either without its port."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
