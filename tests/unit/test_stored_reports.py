"""What a later version has written is read by this one, which may run beside it or again after it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.analysis import Report
from tests.support.builders import report


def test_fields_of_a_later_version_are_passed_over_wherever_they_are() -> None:
    values = report().model_dump(mode="json")
    later = values | {"new": 1, "usage": values["usage"] | {"new": {"deep": 2}}}
    assert Report.from_stored(later) == report()


def test_model_that_answers_more_than_was_asked_for_is_still_refused() -> None:
    with pytest.raises(ValidationError):
        Report.model_validate(report().model_dump(mode="json") | {"new": 1})
