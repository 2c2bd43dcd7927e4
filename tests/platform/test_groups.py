"""Where a process stands among control groups, by recorded texts."""

import pytest

from engines.platform.groups import own_group
from tests.support.control_groups import DOCKER_V1, DOCKER_V2, SYSTEMD


@pytest.mark.parametrize(
    ("text", "controller", "group"),
    [
        (SYSTEMD, "", SYSTEMD.removeprefix("0::").strip()),
        (SYSTEMD, "cpu", None),
        (DOCKER_V2, "", "/"),
        (DOCKER_V1, "cpu", "/docker/1f0c9a"),
        (DOCKER_V1, "", "/system.slice/containerd.service"),
        ("", "", None),
        ("nonsense\n", "cpu", None),
        ("0::/a:b\n", "", "/a:b"),
    ],
)
def test_the_own_group_is_found(text: str, controller: str, group: str | None) -> None:
    assert own_group(text, controller) == group
