"""What verdicts hold fixed. The user's part is `spec.drift`; these would be tuned until the alarm stops."""

from __future__ import annotations

FALSE_DISCOVERIES = 0.05
"""Benjamini and Hochberg's q, over the features of one window."""

FALSE_PAGES = 1.0
"""A monitor's false episodes a month, over all windows, are held below this."""
