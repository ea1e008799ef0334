"""One hostile file and how it may end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

TEXT = "text"
BOMB = "bomb"
CORRUPT = "corrupt"
ENCRYPTED = "encrypted"
NO_TEXT = "no_text"
TIMEOUT = "extraction_timeout"
UNSUPPORTED = "unsupported_type"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hostile:
    """A file that is made when it is needed. `ends` holds error codes, and `text` for being read after all.

    A file that `spins` may also run into the time limit, and is given little time.
    """

    name: str
    filename: str
    make: Callable[[], bytes]
    ends: frozenset[str]
    spins: bool = False

    @property
    def allowed(self) -> set[str]:
        """The ends that are right on this machine."""
        ends = {*self.ends, TIMEOUT} if self.spins else set(self.ends)
        # macOS does not enforce the memory limit: a bomb there just takes its time and has no text.
        return ends if sys.platform == "linux" or BOMB not in ends else ends | {NO_TEXT, TEXT, TIMEOUT}


def hostile(filename: str, name: str, make: Callable[[], bytes], *ends: str, spins: bool = False) -> Hostile:
    kind = filename.rpartition(".")[2]
    return Hostile(name=f"{kind}-{name}", filename=filename, make=make, ends=frozenset(ends), spins=spins)
