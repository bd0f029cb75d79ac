"""The domain of Driftline: spec, profile, grid, panes, windows, statistics, verdicts.

Pure: no I/O and no clock. Whatever a function needs to know comes in as an argument.
"""

__version__ = "0.1.0"
