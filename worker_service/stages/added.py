"""A stage that somebody added, kept within its budget of time, tries and size. Knows not what it does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import replace

from shared import log
from shared.errors import DocumentError, StageFailedError, StageTimeoutError
from worker_service.calls import CallFailedError
from worker_service.stages import Stage, Work

_log = log.get(__name__)

# Of a stage's result as JSON: an item of DynamoDB has 400 KB in all.
MAX_RESULT_BYTES = 16_384
_PAUSE_SECONDS = 0.2


class Added(Stage):
    """The stage as the pipeline sees it. `seconds` are for all its tries together."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.name, self.version, self.phase = stage.name, stage.version, stage.phase
        self.seconds, self.tries = stage.seconds, stage.tries

    async def warm(self) -> None:
        await self._stage.warm()

    async def aclose(self) -> None:
        await self._stage.aclose()

    async def run(self, work: Work, *, seconds: float) -> Work:
        """Raises StageFailedError when its tries are spent, StageTimeoutError when its time is."""
        work = self._signed(work)
        asked = len(work.paid_calls.asked) if work.paid_calls else 0
        try:
            async with asyncio.timeout(seconds):
                done = await self._tried(work, until=time.monotonic() + seconds)
        except TimeoutError:
            raise StageTimeoutError(f"The stage {self.name} took longer than {seconds:g} seconds.") from None
        self._check_size(done)
        return replace(done, asked=done.asked + tuple(done.paid_calls.asked[asked:] if done.paid_calls else ()))

    async def _tried(self, work: Work, *, until: float) -> Work:
        for number in range(1, self.tries + 1):
            try:
                return await self._stage.run(work, seconds=until - time.monotonic())
            except (StageFailedError, CallFailedError) as error:
                _log.warning("stage.failed", stage=self.name, number=number, tries=self.tries)
                if number == self.tries:
                    raise self._failure(error) from None
            await asyncio.sleep(_PAUSE_SECONDS * number)
        raise AssertionError("a stage has at least one try")

    def _failure(self, error: StageFailedError | CallFailedError) -> DocumentError:
        if isinstance(error, CallFailedError):
            # What the model's API had to say has a code of its own.
            return error.error
        return StageFailedError(f"The stage {self.name} failed: {error}")

    def _signed(self, work: Work) -> Work:
        """From here on, what is asked of a model is another question than without this stage."""
        parts = [work.fingerprint, self.name, self.version, work.options(self)]
        fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        calls = replace(work.paid_calls, fingerprint=fingerprint) if work.paid_calls else None
        return replace(work, fingerprint=fingerprint, paid_calls=calls)

    def _check_size(self, work: Work) -> None:
        found = work.results.get(self.name)
        size = len(found.model_dump_json()) if found else 0
        if size > MAX_RESULT_BYTES:
            raise StageFailedError(f"The result of the stage {self.name} has more than {MAX_RESULT_BYTES} bytes.")
