"""One document for the model that the settings name, and what comes of it, for whoever sets it up.

Knows no store: nothing is written down but the log, and the call is paid for like any other.
"""

from __future__ import annotations

import time

from shared.errors import AnalysisError, ConfigurationError
from shared.model_server import model_server
from shared.settings import Settings
from worker_service.analyzers.chunks import tokens_of
from worker_service.assembly import choose_analyzer
from worker_service.extractors import Extraction
from worker_service.unrecorded import unrecorded

# More than the context that some servers have unless they are told otherwise.
_TOKENS = 6_000
_LINE = "Hall {}: the pump was inspected, cleaned and found sound; the next inspection is due in spring.\n"


async def check(settings: Settings) -> None:
    """Ask once, and print what came of it. Raises ConfigurationError, also for an answer that is none."""
    server = model_server(settings)
    if server is None:
        return _say("No model is asked: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. The offline analyzer works.")
    document = Extraction(text=_text(min(_TOKENS, settings.llm_chunk_tokens * 9 // 10)))
    _say(f"Asking {server} about a document of {tokens_of(document.text)} tokens ...")
    analyzer, began = choose_analyzer(settings), time.monotonic()
    try:
        report = await analyzer.analyze(
            document, calls=unrecorded(attempts=settings.llm_max_attempts), timeout_seconds=settings.llm_seconds
        )
    except AnalysisError as failed:
        raise ConfigurationError(f"{failed.code}: {failed}") from failed
    finally:
        await analyzer.aclose()
    usage = report.usage
    return _say(
        f"Answered after {time.monotonic() - began:.1f} s. "
        f"The server counted {usage.input_tokens} tokens in and {usage.output_tokens} out."
    )


def _text(tokens: int) -> str:
    line = tokens_of(_LINE.format(1_000))
    return "".join(_LINE.format(number) for number in range(1, max(2, tokens // line)))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
