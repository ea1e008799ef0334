"""Functions and files stay small, modules say what they are, and failures are caught by name."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.checkout import modules, name_of

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 300
MAX_MEDIAN_LINES = 9
MAX_90TH_PERCENTILE_LINES = 30
# Where a failure of any kind becomes a message's disposition, a document's later turn, a process's exit code.
MAY_END_ALL = {"worker_service/consumer.py", "worker_service/reconciler.py", "shared/process.py"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    where: str
    lines: int


def functions() -> list[Function]:
    """Every function and method, nested ones included; decorators do not count."""
    return [
        Function(where=f"{name_of(path)}:{node.lineno} {node.name}", lines=(node.end_lineno or 0) - node.lineno + 1)
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def code(path: Path) -> list[ast.stmt]:
    """The module's statements without its docstring."""
    tree = parsed(path)
    return tree.body[1:] if ast.get_docstring(tree) else tree.body


def handlers(path: Path, exception: str) -> Iterator[ast.ExceptHandler]:
    """The module's handlers of `exception`, alone or among others. A bare `except:` handles BaseException."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            named = ast.unparse(node.type) if node.type else "BaseException"
            if exception in named.strip("()").split(", "):
                yield node


def raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_no_function_is_longer_than_60_lines() -> None:
    assert [found for found in functions() if found.lines > MAX_FUNCTION_LINES] == []


def test_no_file_is_longer_than_300_lines() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_most_functions_are_short() -> None:
    found = sorted(functions(), key=lambda function: function.lines)
    lengths = [function.lines for function in found]
    longest = "\n".join(f"{function.lines:4} {function.where}" for function in found[-30:])
    assert statistics.median(lengths) <= MAX_MEDIAN_LINES, longest
    assert statistics.quantiles(lengths, n=10)[-1] <= MAX_90TH_PERCENTILE_LINES, longest


def test_every_module_with_code_says_what_it_is() -> None:
    silent = [name_of(path) for path in modules() if code(path) and not ast.get_docstring(parsed(path))]
    assert silent == []


def test_failures_of_every_kind_end_in_few_places() -> None:
    ending = {
        name_of(path) for path in modules() for handler in handlers(path, "Exception") if not raises_again(handler)
    }
    assert ending == MAY_END_ALL


def test_whoever_catches_a_cancellation_raises_it_again() -> None:
    swallowing = [
        f"{name_of(path)}:{handler.lineno}"
        for path in modules()
        for handler in handlers(path, "BaseException")
        if not raises_again(handler)
    ]
    assert swallowing == []
