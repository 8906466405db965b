"""Fixtures of the model laws."""

import pytest
from tiny_models import MAKERS, batch_of, volumes

from tomovox.schema import Batch


@pytest.fixture(params=sorted(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def two_questions() -> Batch:
    """Two studies, one question with an answer about each; the prompts differ in length."""
    return batch_of(
        list(volumes(2)), [0, 1], [[5, 6, 7], [8, 9, 10, 11, 12]], [[20, 21, 1], [22, 1]], [0, 1]
    )
