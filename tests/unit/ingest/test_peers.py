"""Whose address a request comes from."""

import pytest

from services.ingest.peers import client_address, networks_of

TRUSTED = networks_of(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", b"1.2.3.4", "203.0.113.9"),
        ("10.1.2.3", None, "10.1.2.3"),
        ("10.1.2.3", b"198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", b"6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", b"6.6.6.6, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.1.2.3", b"10.5.5.5, 10.9.9.9", "10.5.5.5"),
        ("::ffff:10.1.2.3", b"::ffff:198.51.100.7", "198.51.100.7"),
        ("fd00::1", b"[2001:db8::7]:5511", "2001:db8::7"),
        ("fd00::1", b"2001:DB8:0:0::7", "2001:db8::7"),
        ("127.0.0.1", b"198.51.100.7:40123", "198.51.100.7"),
        ("10.1.2.3", b"198.51.100.7, unknown", "10.1.2.3"),
        ("10.1.2.3", b"198.51.100.7, _secret, 10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", b"", "10.1.2.3"),
        ("10.1.2.3", b"\xff" * 5000, "10.1.2.3"),
        ("fe80::1%eth0", b"1.2.3.4", "fe80::1"),
        ("", b"1.2.3.4", ""),
        ("@unix", b"1.2.3.4", "@unix"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: bytes | None, client: str) -> None:
    """The header counts from the right as far as trusted proxies wrote it; what is no address ends the search."""
    assert client_address(peer, forwarded, TRUSTED) == client


def test_without_proxies_the_header_is_a_forgery() -> None:
    """Where no proxy is trusted, the connection's other end is the client, whatever it claims."""
    assert client_address("127.0.0.1", b"1.2.3.4", ()) == "127.0.0.1"


def test_a_long_chain_is_looked_at_in_bounds() -> None:
    """Of thousands of entries only the last ones are read."""
    assert client_address("10.0.0.1", b"1.2.3.4," + b"10.0.0.2," * 5_000 + b"10.0.0.3", TRUSTED) == "10.0.0.2"


def test_a_network_must_be_one() -> None:
    """A word that is no network is a mistake in the settings."""
    with pytest.raises(ValueError, match="balancer"):
        networks_of(["balancer"])
