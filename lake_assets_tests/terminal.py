"""What a terminal showed, read from the side of the person before it."""

import os


def all_shown(screen: int) -> bytes:
    """Every byte that came to the terminal of `screen`, until its other end is closed.

    A terminal hands on what is written to it when the kernel gets to it: one `os.read` may find a
    part of it only.
    """
    shown = b""
    while True:
        try:
            block = os.read(screen, 65_536)
        except OSError:  # how Linux says that the other end is closed; macOS sends no bytes
            return shown
        if not block:
            return shown
        shown += block
