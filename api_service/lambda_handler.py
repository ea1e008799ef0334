"""The API as a Lambda function behind API Gateway: the same application, opened at the first request."""

from __future__ import annotations

from functools import cache
from typing import Any

from shared.cold_start import importing, trusting_nobody

with importing(), trusting_nobody():
    from mangum import Mangum

    from api_service.app import create_app
    from shared.bootstrap import add_first_admin, open_backends
    from shared.lambda_environment import Environment


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    _, gateway = _opened()
    return gateway(event, context)


@cache
def _opened() -> tuple[Environment, Mangum]:
    environment = Environment(service="api")
    backends = environment.open(open_backends(environment.settings))
    # The template makes bucket, queue and table; of what `docrelay bootstrap` does, this is left.
    environment.run(add_first_admin(environment.settings, backends.accounts))
    app = create_app(environment.settings, backends)
    # Mangum would end the lifespan with every request, and the hub with it.
    environment.open(app.router.lifespan_context(app))
    return environment, Mangum(app, lifespan="off")
