"""Is the process alive, can it serve, which version is it. No token, outside the API's prefix."""

import asyncio
from importlib.metadata import version

from fastapi import APIRouter

from api_service.dependencies import ServicesDep
from api_service.routes import problems
from api_service.schemas import HealthOut, VersionOut
from shared.errors import BackendUnavailableError

# Less than what asks here waits for.
_PATIENCE_SECONDS = 4.0

router = APIRouter(tags=["health"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> HealthOut:
    """Answers while the process can answer at all."""
    return HealthOut(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=problems(503))
async def readyz(services: ServicesDep) -> HealthOut:
    """Answers 200 only when store, bucket and queue answer too."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await services.backends.ping()
    except TimeoutError:
        raise BackendUnavailableError("The store, the bucket or the queue does not answer.") from None
    return HealthOut(status="ok")


@router.get("/version")
async def get_version() -> VersionOut:
    return VersionOut(version=version("docrelay"))
