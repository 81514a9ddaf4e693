"""Settings for all tests."""

import os

from hypothesis import settings

# The same examples each time: a red test is red for everybody, and no test is judged by the clock.
settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
# New examples each time, more of them; a failure prints what reproduces it.
settings.register_profile("explore", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("MAILLON_EXPLORE") else "house")
