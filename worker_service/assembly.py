"""Puts the worker together from settings and backends, the same for every runtime."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from uuid import uuid4

from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.settings import Settings
from worker_service.analyzers import Analyzer
from worker_service.analyzers.offline import OfflineAnalyzer
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.consumer import Consumer, Handler
from worker_service.dead_letters import DeadLetters
from worker_service.ocr import with_ocr
from worker_service.pipeline import Pipeline
from worker_service.reconciler import Reconciler
from worker_service.sandbox import Sandbox
from worker_service.upkeep import dead_letters_of, reconciler_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """`job_seconds` is the longest that one document may take."""

    sandbox: Sandbox
    analyzer: Analyzer
    handler: Handler
    consumer: Consumer
    dead_letters: DeadLetters
    reconciler: Reconciler
    job_seconds: float


def assemble(settings: Settings, backends: Backends) -> Worker:
    sandbox = Sandbox(
        timeout_seconds=settings.extraction_seconds,
        memory_bytes=settings.extraction_memory_bytes,
        size=min(settings.concurrency, os.cpu_count() or 1),
    )
    analyzer = choose_analyzer(settings)
    handler = Handler(
        pipeline=_pipeline(settings, backends, sandbox, analyzer),
        documents=backends.documents,
        queue=backends.queue,
        max_attempts=settings.max_attempts,
        clock=utc_now,
    )
    return Worker(
        sandbox=sandbox,
        analyzer=analyzer,
        handler=handler,
        consumer=_consumer(settings, backends, handler),
        dead_letters=dead_letters_of(settings, backends),
        reconciler=reconciler_of(settings, backends),
        job_seconds=_job_seconds(settings),
    )


def _pipeline(settings: Settings, backends: Backends, sandbox: Sandbox, analyzer: Analyzer) -> Pipeline:
    extractor = with_ocr(
        sandbox,
        program=shutil.which("tesseract"),
        seconds=settings.ocr_seconds,
        max_pages=settings.ocr_max_pages,
        languages=settings.ocr_languages,
    )
    return Pipeline(
        documents=backends.documents,
        blobs=backends.blobs,
        extractor=extractor,
        analyzer=analyzer,
        holder=settings.instance_id or uuid4().hex,
        lease_seconds=settings.lease_seconds,
        analysis_seconds=settings.llm_seconds,
        clock=utc_now,
        new_id=uuid7,
    )


def _consumer(settings: Settings, backends: Backends, handler: Handler) -> Consumer:
    return Consumer(
        handler=handler,
        queue=backends.queue,
        slots=settings.concurrency,
        batch=settings.receive_batch,
        wait_seconds=settings.poll_wait_seconds,
        visibility_seconds=settings.lease_seconds,
        job_seconds=_job_seconds(settings),
        clock=utc_now,
    )


def _job_seconds(settings: Settings) -> float:
    return settings.extraction_seconds + settings.ocr_seconds + settings.llm_seconds


def choose_analyzer(settings: Settings) -> Analyzer:
    """OpenAI when there is a key, the offline analyzer otherwise; every result says which."""
    if settings.openai_api_key is None:
        return OfflineAnalyzer()
    return OpenAIAnalyzer(
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        model=settings.openai_model,
        max_attempts=settings.llm_max_attempts,
        prices=settings.llm_prices,
        max_chars=settings.llm_max_chars,
    )
