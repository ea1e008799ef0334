"""Pipelines with other parts in the stages of our own."""

from __future__ import annotations

from dataclasses import replace

from worker_service.analyzers import Analyzer
from worker_service.pipeline import Pipeline
from worker_service.stages import Stage
from worker_service.stages.builtin import Analyze, Extract, Extractor


def with_parts(pipeline: Pipeline, *, extractor: Extractor | None = None, analyzer: Analyzer | None = None) -> Pipeline:
    """The same pipeline with another extractor or analyzer in its stages."""

    def with_part(stage: Stage) -> Stage:
        if isinstance(stage, Extract) and extractor:
            return Extract(extractor=extractor, seconds=stage.seconds)
        if isinstance(stage, Analyze) and analyzer:
            return Analyze(analyzer=analyzer, seconds=stage.seconds)
        return stage

    return replace(pipeline, stages=tuple(map(with_part, pipeline.stages)))
