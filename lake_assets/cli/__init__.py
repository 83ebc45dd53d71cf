"""The ``lake`` command. Each verb imports what it needs when it runs: none pays for the others.

Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · 3 done, something is quarantined.
"""

import logging
import sys

from lake_assets.cli.app import app
from lake_assets.errors import LakeError, QueryError, SettingsError

__all__ = ["main"]


def main() -> None:
    """Run the command line; errors of ours become one line on stderr and an exit code."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(prog_name="lake")
    except LakeError as error:
        print(f"lake: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError | QueryError) else 1)
