"""How good a monitor's model was: from the database's sums to a report with reasons.

asked     what is looked at, and when: windows, ages, the positive class (pure)
gather    the sums of it, by the database
sums      what was gathered
figures   metrics of the sums (pure)
verdicts  conditions with reasons (pure)
evaluate  all of it: sums in, report out (pure)
store     reports in the database; which monitor is due
turns     the round over all monitors
series    reports as series
"""
