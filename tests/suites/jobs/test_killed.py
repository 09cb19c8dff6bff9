"""A run that is killed at a random point and begun again comes to the rows of an undisturbed run."""

import pytest

from tests.resuming import kill_and_resume


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_was_killed_and_resumed_has_every_row_once(seed, tmp_path):
    assert any("killed" in one for one in kill_and_resume(seed, tmp_path))
