"""A real Prometheus, and the page that documents what it scrapes."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(weighbridge_\w+)` \|(.*)\| `(.+)` \|$", re.MULTILINE)


@dataclass(frozen=True)
class Documented:
    """One row of docs/metrics.md."""

    name: str
    kind: str
    labels: frozenset[str]
    unit: str
    meaning: str
    example: str


def documented() -> list[Documented]:
    """Return the rows of docs/metrics.md."""
    rows = []
    for name, middle, example in _ROW.findall(PAGE.read_text(encoding="utf-8")):
        kind, labels, unit, meaning = (cell.strip() for cell in middle.split("|"))
        named = frozenset(label for label in labels.split(", ") if label)
        rows.append(Documented(name, kind, named, unit, meaning, example))
    return rows


@contextmanager
def prometheus(folder: Path, target: str, key: str) -> Iterator[str]:
    """Run Prometheus, which scrapes `target` twice a second; give the URL of its API."""
    binary = program("prometheus", "prometheus")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
        "scrape_configs:\n"
        f"  - {{job_name: weighbridge, authorization: {{credentials: {key}}},\n"
        f'     static_configs: [{{targets: ["{target}"]}}]}}\n',
        encoding="utf-8",
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    argv = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with subprocess.Popen(argv, cwd=folder) as process:
        try:
            yield f"http://{address}/api/v1"
        finally:
            process.terminate()
            process.wait(20)
