"""Do the preparations say in one line what became of a process?"""

import os

import pytest

from tomovox.data.written import in_processes
from tomovox.schema import TomovoxError


def test_a_process_that_was_killed_is_one_clear_line():
    with pytest.raises(TomovoxError, match=r"killed.*fewer --workers") as caught:
        list(in_processes([1, 2], os._exit, 2))
    assert "\n" not in str(caught.value)
