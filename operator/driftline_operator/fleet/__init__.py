"""What all pods of a monitor saw, as one: panes in, verdicts of the fleet out.

layout     where each column's counts lie among a pane's flat arrays. Pure
reading    a pane as a pod gave it, checked, as flat arrays. Pure
packing    flat arrays as bytes, small and quick to add up. Pure
flat       a pane as a few flat arrays: what merging a thousand pods needs. Pure
store      flat panes over time, rolled up, and the windows they make. Pure
pods       what was taken of one pod: boots, fresh panes, the time that is covered. Pure
book       one monitor: panes of all pods merged, windows judged by the sidecar's own code. Pure
peers      pods tested against each other. Pure
checkpoint a book as bytes, so that windows and verdicts survive a failover. Pure
views      a book as status: conditions, windows, worst features. Pure
captures   when a fleet's reference is made of its pods' rows, and when anew. Pure
patience   when a pod that doesn't answer is asked again. Pure
pull       asks the pods' analyzers
intake     takes the last panes of pods that end
metrics    the series `modelmonitor_fleet_*`
fleet      all of it, round by round

Bounds, per monitor of 30 features with windows of 5m, 1h and 24h: about 45 packed panes of 35 kB at most, and
two fresh panes and 6 kB a pod. `benchmarks/fleet.py` measures them.
"""
