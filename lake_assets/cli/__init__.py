"""The ``lake`` command. Each verb imports what it needs when it runs: none pays for the others.

Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · 3 done, something is quarantined ·
130 ended by Ctrl-C.
"""

import io
import logging
import os
import sys

from lake_assets.cli.app import app
from lake_assets.cli.completion import join_words
from lake_assets.cli.interrupt import INTERRUPTED
from lake_assets.errors import LakeError, QueryError, SettingsError

__all__ = ["main"]


def main() -> None:
    """Run the command line; errors of ours become one line on stderr and an exit code."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    join_words(os.environ)
    try:
        app(prog_name="lake")
    except KeyboardInterrupt:  # while modules are loaded: typer takes the later ones
        sys.exit(INTERRUPTED)
    except LakeError as error:
        print(f"lake: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError | QueryError) else 1)
    except OSError as error:  # a full disk behind stdout, too
        print(f"lake: {error}", file=sys.stderr)
        # What is still in the buffer would fail once more at the end, with a traceback.
        sys.stdout = io.StringIO()
        sys.exit(1)
