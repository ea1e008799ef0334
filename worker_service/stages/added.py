"""A stage that somebody added, kept within its budget of time, tries and size. Knows not what it does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import replace

from shared import log
from shared.errors import StageFailedError, StageTimeoutError
from worker_service.failures import CallFailedError
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
            async with asyncio.timeout(seconds) as budget:
                done = await self._tried(work, until=time.monotonic() + seconds)
        except TimeoutError:
            if not budget.expired():
                raise
            raise StageTimeoutError(f"The stage {self.name} took longer than {seconds:g} seconds.") from None
        self._check_result(done)
        return replace(done, asked=done.asked + tuple(done.paid_calls.asked[asked:] if done.paid_calls else ()))

    async def _tried(self, work: Work, *, until: float) -> Work:
        for number in range(1, self.tries + 1):
            try:
                return await self._stage.run(work, seconds=until - time.monotonic())
            except CallFailedError as failed:
                # The cause stays behind: a vendor's message may quote the document or the key.
                raise failed.ending from None
            except StageFailedError as error:
                _log.warning("stage.failed", stage=self.name, number=number, tries=self.tries)
                if number == self.tries:
                    raise StageFailedError(f"The stage {self.name} failed: {error}") from None
            await asyncio.sleep(_PAUSE_SECONDS * number)
        raise AssertionError("a stage has at least one try")

    def _signed(self, work: Work) -> Work:
        """From here on, what is asked of a model is another question than without this stage."""
        parts = [work.fingerprint, self.name, self.version, work.options(self)]
        fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        calls = replace(work.paid_calls, fingerprint=fingerprint) if work.paid_calls else None
        return replace(work, fingerprint=fingerprint, paid_calls=calls)

    def _check_result(self, work: Work) -> None:
        found = work.results.get(self.name)
        if found is None:
            return
        try:
            json.dumps(found.result, allow_nan=False)
        except ValueError:
            raise StageFailedError(f"The result of the stage {self.name} has a number that JSON has not.") from None
        if len(found.model_dump_json().encode()) > MAX_RESULT_BYTES:
            raise StageFailedError(f"The result of the stage {self.name} has more than {MAX_RESULT_BYTES} bytes.")
