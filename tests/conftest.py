"""For all tests: how long an example takes is no failure, for others work on these machines, too."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
