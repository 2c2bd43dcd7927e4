"""Whether somebody's terminal holds this process, whose end a SIGHUP may mean.

Owns: telling a terminal that was closed from a SIGHUP that was sent on purpose.
Must not: handle signals.
"""

import os
import signal


def has_terminal() -> bool:
    """Say whether there is a controlling terminal; after a hang-up there is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def watched_terminal() -> bool:
    """Say whether we are to end with our terminal: there is one, and no `nohup` bears its end."""
    return signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and has_terminal()
