"""A user's shell for tests of the command line, beside a server in the same process."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from docrelay.cli import app


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Its configuration is in `folder`; commands run in a thread."""

    folder: Path

    @property
    def login(self) -> Path:
        return self.folder / "docrelay" / "login.json"

    async def run(self, *words: str, entered: str | None = None, charset: str = "utf-8") -> Result:
        return await asyncio.to_thread(lambda: CliRunner(charset=charset).invoke(app, list(words), input=entered))

    async def lines(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        outcome = await self.run(*words, "--json")
        assert outcome.exit_code == code, outcome.output
        return [json.loads(line) for line in outcome.stdout.splitlines()]

    def keep(self, **fields: str) -> None:
        """Be logged in already."""
        self.login.parent.mkdir(exist_ok=True)
        self.login.write_text(json.dumps(fields))
