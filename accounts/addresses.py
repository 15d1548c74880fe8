"""Internet addresses: whose a request is, and which networks a key is for."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: A longer chain of hops is nobody's.
MOST_HOPS = 20


@lru_cache(maxsize=4096)
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """
    Return the networks that ``texts`` name.

    :raises ValueError: if one is none
    """
    return tuple(ip_network(text) for text in texts)


def parse(text: str) -> Address | None:
    """Return the address that ``text`` names, or None. An IPv4 address is one in whatever clothes it comes."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def is_within(address: str, allowed: Iterable[str]) -> bool:
    """Whether ``address`` is in one of the networks ``allowed``. What is no address is in none."""
    found = parse(address)
    return found is not None and any(found in network for network in networks(tuple(allowed)))


def of_one_client(address: str) -> str:
    """Return the network of whoever has ``address``: itself, and of IPv6 the 64 bits that a client is given whole."""
    found = parse(address)
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found or "")


def client_address(peer: str, forwarded_for: str, trusted: Iterable[str]) -> str:
    """
    Return the address of whoever asks: ``peer``, or the last of ``X-Forwarded-For`` that a hop we trust vouches for.

    Read from the right, since everything to the left of a hop that is not ours is hearsay.
    """
    address, trusted = peer, tuple(trusted)
    if not forwarded_for or not trusted:
        return peer
    hops = forwarded_for.split(",")[-MOST_HOPS:]
    while hops and is_within(address, trusted):
        address = hops.pop().strip()
    return address
