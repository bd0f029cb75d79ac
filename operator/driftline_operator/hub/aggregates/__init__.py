"""A window's sums, added up in the database: never a row comes out of it.

window    the window's predictions with their labels, as a temporary table
means     sums of one number by request, as SQL
sums      performance, as `driftline.performance.aggregates`: by version, variant, segment, time and label age
ranking   performance of ranked lists
measure   which of these sums, by the model's type
classes   which class is the positive one, and which names are none
outcomes  coverage, label lag, feedback, KPIs
pairs     a shadow's labelled pairs: the one place where rows do come out, for an AUC needs them together
"""

from driftline_operator.hub.aggregates.classes import Classes
from driftline_operator.hub.aggregates.measure import Measure, Sums, errors, measured
from driftline_operator.hub.aggregates.window import By, Cell, Window, open_window

__all__ = ["By", "Cell", "Classes", "Measure", "Sums", "Window", "errors", "measured", "open_window"]
