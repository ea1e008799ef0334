"""Puts the worker together from settings and backends, the same for every runtime."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from uuid import uuid4

from shared import log
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.errors import ConfigurationError
from shared.model_server import ModelServer, model_server
from shared.profiles import Profiles, load_profiles
from shared.settings import Settings
from worker_service.analyzers import Analyzer
from worker_service.analyzers.chunks import ChunkCaps
from worker_service.analyzers.offline import OfflineAnalyzer
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.breaker import Breakers
from worker_service.calls import CallLimits
from worker_service.consumer import Consumer, Handler
from worker_service.dead_letters import DeadLetters
from worker_service.in_flight import InFlight
from worker_service.ocr import page_reader
from worker_service.pipeline import Pipeline
from worker_service.pricing import price_of
from worker_service.reconciler import Reconciler
from worker_service.sandbox import Sandbox
from worker_service.stages import Stage
from worker_service.stages.builtin import Analyze, Classify, Extract, Ocr
from worker_service.stages.chosen import check_options, choose_stages
from worker_service.upkeep import dead_letters_of, reconciler_of

_log = log.get(__name__)

# A paragraph, so that a sentence that a cut goes through is read whole once.
_OVERLAP_TOKENS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """`job_seconds` is the longest that one document may take."""

    sandbox: Sandbox
    analyzer: Analyzer
    in_flight: InFlight
    handler: Handler
    consumer: Consumer
    dead_letters: DeadLetters
    reconciler: Reconciler
    job_seconds: float

    async def start(self) -> None:
        """Have everything ready before the first document."""
        await self.sandbox.start()
        for stage in self.handler.pipeline.stages:
            await stage.warm()

    async def aclose(self) -> None:
        await self.in_flight.aclose()
        for stage in self.handler.pipeline.stages:
            await stage.aclose()
        await self.sandbox.close()


def assemble(settings: Settings, backends: Backends) -> Worker:
    sandbox = Sandbox(
        timeout_seconds=settings.extraction_seconds,
        memory_bytes=settings.extraction_memory_bytes,
        size=min(settings.concurrency, os.cpu_count() or 1),
    )
    analyzer, in_flight = choose_analyzer(settings), InFlight()
    stages, profiles = _stages(settings, sandbox, analyzer), load_profiles(settings.profiles)
    check_options(profiles, stages)
    _log.info("analyzer.chosen", analyzer=analyzer.name, **_told(model_server(settings)))
    job_seconds = sum(stage.seconds for stage in stages)
    handler = Handler(
        pipeline=_pipeline(settings, backends, stages, profiles, in_flight),
        documents=backends.documents,
        queue=backends.queue,
        max_attempts=settings.max_attempts,
        clock=utc_now,
    )
    return Worker(
        sandbox=sandbox,
        analyzer=analyzer,
        in_flight=in_flight,
        handler=handler,
        consumer=_consumer(settings, backends, handler, job_seconds=job_seconds),
        dead_letters=dead_letters_of(settings, backends),
        reconciler=reconciler_of(settings, backends),
        job_seconds=job_seconds,
    )


def _stages(settings: Settings, sandbox: Sandbox, analyzer: OfflineAnalyzer | OpenAIAnalyzer) -> tuple[Stage, ...]:
    """Raises ConfigurationError for a stage that nobody offers."""
    reader = page_reader(
        sandbox,
        program=shutil.which("tesseract"),
        max_pages=settings.ocr_max_pages,
        languages=settings.ocr_languages,
    )
    builtin = (
        Extract(extractor=sandbox, seconds=settings.extraction_seconds),
        Ocr(reader=reader, seconds=settings.ocr_seconds),
        Analyze(analyzer=analyzer, seconds=settings.llm_seconds),
        # One question with a short answer.
        Classify(classifier=analyzer, seconds=settings.llm_seconds / 2),
    )
    return choose_stages(settings.stages, builtin)


def _pipeline(
    settings: Settings, backends: Backends, stages: tuple[Stage, ...], profiles: Profiles, in_flight: InFlight
) -> Pipeline:
    return Pipeline(
        documents=backends.documents,
        blobs=backends.blobs,
        stages=stages,
        profiles=profiles,
        ledger=backends.ledger,
        call_limits=_limits(settings, profiles),
        in_flight=in_flight,
        breakers=Breakers(),
        holder=settings.instance_id or uuid4().hex,
        lease_seconds=settings.lease_seconds,
        clock=utc_now,
        new_id=uuid7,
    )


def _consumer(settings: Settings, backends: Backends, handler: Handler, *, job_seconds: float) -> Consumer:
    return Consumer(
        handler=handler,
        queue=backends.queue,
        slots=settings.concurrency,
        batch=settings.receive_batch,
        wait_seconds=settings.poll_wait_seconds,
        visibility_seconds=settings.lease_seconds,
        job_seconds=job_seconds,
        clock=utc_now,
    )


def _limits(settings: Settings, profiles: Profiles) -> CallLimits:
    """Raises ConfigurationError for a budget that nothing can be reckoned against."""
    budgets = (settings.llm_budget_document_usd, settings.llm_budget_day_usd)
    models = {profile.model or settings.openai_model for profile in profiles.by_name.values()}
    unpriced = sorted(model for model in models if price_of(model, settings.llm_prices) is None)
    if any(budgets) and model_server(settings) and unpriced:
        raise ConfigurationError(f"A budget needs the price of {unpriced[0]} in DOCRELAY_LLM_PRICES.")
    document, day = (None if usd is None else round(usd * 1_000_000) for usd in budgets)
    return CallLimits(attempts=settings.llm_max_attempts, document_micro_usd=document, day_micro_usd=day)


def _told(server: ModelServer | None) -> dict[str, str]:
    """What may be told of a server: not its key, nor a password in its URL."""
    return {"model": server.model, "host": server.host, "api": server.api} if server else {}


def choose_analyzer(settings: Settings) -> OfflineAnalyzer | OpenAIAnalyzer:
    """A model where there is a server for it, the offline analyzer otherwise; every result says which.

    Raises ConfigurationError.
    """
    server = model_server(settings)
    if server is None:
        return OfflineAnalyzer()
    return OpenAIAnalyzer(
        api_key=server.key,
        base_url=server.url,
        model=server.model,
        api=server.api,
        answer_format=settings.openai_format,
        prices=settings.llm_prices,
        chunks_at_once=settings.llm_chunks_at_once,
        caps=ChunkCaps(
            chunk_tokens=settings.llm_chunk_tokens,
            overlap_tokens=min(_OVERLAP_TOKENS, settings.llm_chunk_tokens // 10),
            max_chunks=settings.llm_max_chunks,
            max_tokens=settings.llm_max_tokens,
            output_tokens=settings.llm_output_tokens,
        ),
    )
