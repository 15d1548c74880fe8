"""Where a request is from: what a hop of ours says, and nothing to the left of one that is not ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.addresses import client_address, is_within

OURS = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "address"),
    [
        ("192.0.2.1", "", OURS, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", OURS, "192.0.2.1"),
        ("10.0.0.1", "198.51.100.9", [], "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", OURS, "198.51.100.9"),
        ("::ffff:10.0.0.1", "198.51.100.9", OURS, "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.9", OURS, "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.9 , fd00::7", OURS, "198.51.100.9"),
        ("10.0.0.1", "10.9.9.9,10.8.8.8", OURS, "10.9.9.9"),
        ("10.0.0.1", "nonsense", OURS, "nonsense"),
        ("10.0.0.1", "203.0.113.5,", OURS, ""),
        ("", "203.0.113.5", OURS, ""),
    ],
)
def test_client_address(peer: str, forwarded_for: str, trusted: list[str], address: str) -> None:
    assert client_address(peer, forwarded_for, trusted) == address


@given(st.text(max_size=60), st.lists(st.ip_addresses().map(str), max_size=40))
def test_nobody_outside_chooses_the_address(hearsay: str, hops: list[str]) -> None:
    assert client_address("192.0.2.1", ",".join([hearsay, *hops]), OURS) == "192.0.2.1"


@given(st.text(max_size=40))
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert not is_within(text, ["0.0.0.0/0", "::/0"]) or text.strip()
