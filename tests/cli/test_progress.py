"""How far a pull has come: a line that is written over on a terminal, else a line now and then."""

from gateway.cli.progress import Progress

GB = 1_000_000_000


class Screen:
    """What was written, and the time."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.text = ""
        self.now_s = 0.0
        self.progress = Progress(
            is_terminal=is_terminal, write=self.write, clock=lambda: self.now_s
        )

    def write(self, text: str) -> None:
        self.text += text

    def goes_on(self, seconds: float, here_bytes: int) -> None:
        self.now_s += seconds
        self.progress.here(here_bytes)


def test_a_terminal_sees_one_line_with_share_rate_and_time_left() -> None:
    screen = Screen(is_terminal=True)
    screen.progress.begins("m.gguf", 4 * GB, GB)
    screen.goes_on(1, GB + 100_000_000)
    screen.goes_on(0.01, GB + 101_000_000)  # too soon to be told
    screen.goes_on(1, 2 * GB)
    screen.progress.ends()
    assert screen.text.count("\n") == 1
    lines = screen.text.rstrip("\n").split("\r")[1:]
    assert [line.rstrip() for line in lines] == [
        "m.gguf [######..................] 25% of 4.0 GB",
        "m.gguf [#######.................] 28% of 4.0 GB, 100.0 MB/s, 29 s left",
        "m.gguf [############............] 50% of 4.0 GB, 497.5 MB/s, 4 s left",
    ]


def test_elsewhere_each_tenth_and_each_half_minute_is_a_line() -> None:
    screen = Screen(is_terminal=False)
    screen.progress.begins("m.gguf", 100 * GB, 0)
    for percent in range(1, 21):
        screen.goes_on(1, percent * GB)
    screen.goes_on(31, 21 * GB)
    screen.progress.says("m.gguf: HTTP 503; resuming")
    assert screen.text.splitlines() == [
        "m.gguf: 0% of 100.0 GB",
        "m.gguf: 10% of 100.0 GB, 1.0 GB/s, 1 min 30 s left",
        "m.gguf: 20% of 100.0 GB, 1.0 GB/s, 1 min 20 s left",
        "m.gguf: 21% of 100.0 GB, 32.3 MB/s, 40 min 49 s left",
        "m.gguf: HTTP 503; resuming",
    ]


def test_a_file_that_begins_anew_and_one_of_unknown_size_are_told_too() -> None:
    screen = Screen(is_terminal=False)
    screen.progress.begins("m.gguf", None, 0)
    screen.goes_on(40, 5_000_000)
    screen.goes_on(1, 0)
    screen.goes_on(40, 3_000)
    assert screen.text.splitlines() == ["m.gguf: 0 bytes", "m.gguf: 5.0 MB", "m.gguf: 3.0 kB"]


def test_the_end_is_always_told() -> None:
    screen = Screen(is_terminal=False)
    screen.progress.begins("m.gguf", 10, 0)
    screen.goes_on(0, 10)
    assert screen.text.splitlines()[-1] == "m.gguf: 100% of 10 bytes"
