"""A LangGraph graph as a stage. LangGraph itself is imported by whoever builds one, in the extra `langgraph`."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any, Protocol

from pydantic import JsonValue

from shared.errors import StageFailedError
from worker_service.stages import Stage, Work


class Graph(Protocol):
    """What a compiled graph is to us."""

    async def ainvoke(self, state: Any, /, *, context: Any) -> Any: ...


class GraphStage(Stage):
    """Derive from it, set `name` and write `build`.

    The graph begins with the document's `text` in its state and ends with what it has found as `result`. Its nodes
    reach the whole work, calls of models through the ledger included, as `runtime.context`.
    """

    _graph: Graph | None = None

    @abstractmethod
    def build(self) -> Graph:
        """Compile the graph; called once, in a thread."""

    async def warm(self) -> None:
        self._graph = await asyncio.to_thread(self.build)

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002 - whoever runs an added stage ends it
        assert self._graph is not None, "stages are warmed before the first document"
        state = await self._graph.ainvoke({"text": work.text}, context=work)
        if "result" not in state:
            raise StageFailedError("The graph has ended without a result.")
        found: JsonValue = state["result"]
        return work.with_result(self, found)
