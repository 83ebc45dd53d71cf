"""The ``lake`` command, in this process: exit code, stdout and stderr."""

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from lake_assets.cli import main


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON object that stands last on stdout."""
        return json.loads(self.out.splitlines()[-1])


class Command:
    """Runs ``lake`` with arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["lake", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)
