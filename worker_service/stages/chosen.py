"""Which stages there are, in which order: those of the setting, ours or from an installed package.

A package's stage is imported when it is chosen and never before. Whatever is wrong is said at start, by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from itertools import pairwise

from shared import log
from shared.errors import ConfigurationError
from shared.profiles import Profiles
from worker_service.stages import Stage
from worker_service.stages.added import Added

_log = log.get(__name__)

GROUP = "docrelay.stages"
MAX_STAGES = 16
_NEEDED = ("extract", "analyze", "classify")


def choose_stages(setting: str, builtin: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages that a comma-separated list names. A package's takes the place of ours of the same name.

    Raises ConfigurationError.
    """
    names = [name.strip() for name in setting.split(",") if name.strip()]
    ours, theirs = {stage.name: stage for stage in builtin}, _offered(names)
    _check_names(names, known={*ours, *(point.name for point in entry_points(group=GROUP))})
    stages = tuple(Added(_loaded(theirs[name])) if name in theirs else ours[name] for name in names)
    _check_order(stages)
    return stages


def check_options(profiles: Profiles, stages: Iterable[Stage]) -> None:
    """Raises ConfigurationError for a profile with options that no stage would read."""
    added = {stage.name for stage in stages if isinstance(stage, Added)}
    for profile in profiles.by_name.values():
        if unread := sorted(profile.stages.keys() - added):
            raise ConfigurationError(
                f"The profile {profile.name} has options for {unread[0]}, which is no added stage of DOCRELAY_STAGES."
            )


def _offered(names: Iterable[str]) -> Mapping[str, EntryPoint]:
    """The packages' stages among those that are wanted."""
    points = [point for point in entry_points(group=GROUP) if point.name in names]
    for name, count in Counter(point.name for point in points).items():
        if count > 1:
            origins = ", ".join(sorted(point.value for point in points if point.name == name))
            raise ConfigurationError(f"The stage {name} is offered more than once: {origins}. Uninstall all but one.")
    return {point.name: point for point in points}


def _check_names(names: list[str], *, known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"DOCRELAY_STAGES names {name}, which nobody offers. There are: {', '.join(sorted(known))}."
            )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigurationError(f"DOCRELAY_STAGES names {twice[0]} more than once.")
    if missing := [name for name in _NEEDED if name not in names]:
        raise ConfigurationError(f"DOCRELAY_STAGES needs the stage {missing[0]}.")
    if len(names) > MAX_STAGES:
        raise ConfigurationError(f"DOCRELAY_STAGES names more than {MAX_STAGES} stages.")


def _check_order(stages: tuple[Stage, ...]) -> None:
    first = stages[0].name
    if first != "extract":
        raise ConfigurationError(f"DOCRELAY_STAGES begins with {first}. It has to begin with extract.")
    names = [stage.name for stage in stages]
    if names.index("classify") < names.index("analyze"):
        raise ConfigurationError("DOCRELAY_STAGES names classify before analyze, whose report it adds to.")
    if "ocr" in names[2:]:
        # It tells the pages apart by the text as it was extracted.
        raise ConfigurationError(f"The stage {names[1]} comes before ocr: name ocr right after extract.")
    for earlier, stage in pairwise(stages):
        if (earlier.phase, stage.phase) == ("analyzing", "processing"):
            raise ConfigurationError(
                f"The stage {stage.name} works on the text before it is kept: name it before {earlier.name}."
            )


def _loaded(point: EntryPoint) -> Stage:
    origin = f"{point.value} of {point.dist.name if point.dist else 'an unknown package'}"
    try:
        stage = point.load()()
    except (ImportError, AttributeError, TypeError, ValueError, SyntaxError) as exc:
        raise ConfigurationError(f"The stage {point.name} ({origin}) cannot be loaded: {exc}") from exc
    if not isinstance(stage, Stage) or stage.name != point.name:
        raise ConfigurationError(f"The stage {point.name} ({origin}) is not a stage of that name.")
    if stage.phase not in {"processing", "analyzing"} or stage.seconds <= 0 or stage.tries < 1:
        raise ConfigurationError(f"The stage {point.name} ({origin}) has no sensible phase, seconds and tries.")
    _log.info("stage.loaded", stage=point.name, origin=origin, version=stage.version)
    return stage
