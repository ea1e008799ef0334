"""Two stages: one takes telephone numbers out of the text before it is kept, one says how long it takes to read."""

from __future__ import annotations

import re

from worker_service.stages import Stage, Work

_TELEPHONE = re.compile(r"\+?\d[\d ()/-]{6,}\d")


class WithoutTelephones(Stage):
    name = "without_telephones"
    phase = "processing"

    async def run(self, work: Work, *, seconds: float) -> Work:
        text, count = _TELEPHONE.subn("[telephone]", work.text)
        return work.with_text(text).with_result(self, {"taken_out": count})


class ReadingTime(Stage):
    name = "reading_time"
    seconds = 2.0

    async def run(self, work: Work, *, seconds: float) -> Work:
        said = work.options(self).get("per_minute")
        per_minute = said if isinstance(said, int) else 230
        return work.with_result(self, {"minutes": max(1, round(len(work.text.split()) / per_minute))})
