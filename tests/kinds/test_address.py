"""Where replicas listen: what tells them apart, and the Host header that they are sent."""

from pathlib import Path

import pytest

from engines.kinds import ReplicaAddress


@pytest.mark.parametrize(
    ("address", "key", "host"),
    [
        (ReplicaAddress("gpu1", 8000), "http://gpu1:8000", "gpu1:8000"),
        (ReplicaAddress("gpu1", 80), "http://gpu1:80", "gpu1"),
        (ReplicaAddress("gpu1", 443, tls=True), "https://gpu1:443", "gpu1"),
        (ReplicaAddress("gpu1", 80, tls=True), "https://gpu1:80", "gpu1:80"),
        (ReplicaAddress("::1", 8000), "http://::1:8000", "[::1]:8000"),
        (ReplicaAddress(socket_path=Path("/run/s")), "unix:/run/s", "localhost"),
    ],
)
def test_key_and_host_header(address: ReplicaAddress, key: str, host: str) -> None:
    assert address.key == key
    assert address.host_header == host


def test_the_key_of_an_engine_never_shows() -> None:
    assert "sesame" not in repr(ReplicaAddress("gpu1", 1, authorization="Bearer sesame"))
