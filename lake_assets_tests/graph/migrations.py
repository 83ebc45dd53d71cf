"""Dagster's instances of a process read the scripts of their database's migrations once.

Otherwise each new one, and so every tick of a sensor, imports some fifty of them anew to learn
which is the last: half the cost of a tick.
"""

from alembic.config import Config
from alembic.script import ScriptDirectory

__all__ = ["read_once"]


def read_once() -> None:
    """For the rest of this process."""
    known: dict[str | None, ScriptDirectory] = {}
    read = ScriptDirectory.from_config

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = from_config
