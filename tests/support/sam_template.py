"""The SAM template as it is written, for tests that look at it: SAM's own expansion of it is not here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as the long ones."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)

TEXT = (Path(__file__).resolve().parents[2] / "template.yaml").read_text()
TEMPLATE: dict[str, Any] = yaml.load(TEXT, Loader=_Loader)  # noqa: S506 - a safe loader with AWS's short forms
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]

_TERM = re.compile(r'\$\.(\w+) = "(\w+(?:\.\w+)*)"')


def of_type(kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


def counted_by(filter_name: str, line: dict[str, Any]) -> bool:
    """Whether a metric filter counts a log line: of CloudWatch's patterns, terms joined by only && or only ||."""
    pattern = of_type("AWS::Logs::MetricFilter")[filter_name]["FilterPattern"]
    operators = set(re.sub(_TERM, "", pattern).strip("{} ").split())
    assert operators in ({"&&"}, {"||"}), pattern
    terms = [line.get(name) == value for name, value in _TERM.findall(pattern)]
    return all(terms) if operators == {"&&"} else any(terms)
