"""How many mutated inputs each test of this folder makes: few in the suite, the same ones each time.

``DECODEBENCH_FUZZ=5000`` (as ``make fuzz`` gives it) asks for so many, and for others each time.
"""

import os

from hypothesis import HealthCheck, settings

VARIABLE = "DECODEBENCH_FUZZ"


def many(in_the_suite: int) -> settings:
    """The settings of a test that makes ``in_the_suite`` examples where the variable asks for no other number."""
    asked = os.environ.get(VARIABLE)
    return settings(
        max_examples=int(asked) if asked else in_the_suite,
        derandomize=not asked,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
