"""The scenarios: what is done to a running system. None says what is right; the checker does."""

from __future__ import annotations

import random
from dataclasses import Field
from typing import Any, ClassVar, Protocol

from tests.chaos.history import History
from tests.chaos.live.ground import Ground


class Scenario(Protocol):
    """A frozen dataclass whose fields are the parameters on the command line."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init__(self, **parameters: Any) -> None: ...

    async def run(self, ground: Ground, chance: random.Random) -> History: ...
