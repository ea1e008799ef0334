"""A stage that is a LangGraph graph: looks through the text, a sentence at a time, until it knows how urgent it is."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from worker_service.stages import Work
from worker_service.stages.langgraph import Graph, GraphStage

_URGENT = ("immediately", "at once", "deadline", "final notice")


class State(TypedDict, total=False):
    text: str
    sentences: list[str]
    read: int
    result: dict[str, Any]


def split(state: State) -> State:
    return {"sentences": [sentence.strip() for sentence in state["text"].split(".")], "read": 0}


def read_one(state: State, runtime: Runtime[Work]) -> State:
    sentence = state["sentences"][state["read"]]
    urgent = any(cue in sentence.lower() for cue in _URGENT)
    result = {"urgent": urgent, "because": sentence if urgent else None, "file": runtime.context.document.filename}
    return {"read": state["read"] + 1, "result": result}


def known(state: State) -> str:
    return "done" if state["result"]["urgent"] or state["read"] == len(state["sentences"]) else "go on"


class Triage(GraphStage):
    name = "triage"

    def build(self) -> Graph:
        graph = StateGraph(State, context_schema=Work)
        graph.add_node("split", split)
        graph.add_node("read_one", read_one)
        graph.add_edge(START, "split")
        graph.add_edge("split", "read_one")
        graph.add_conditional_edges("read_one", known, {"go on": "read_one", "done": END})
        return graph.compile()
