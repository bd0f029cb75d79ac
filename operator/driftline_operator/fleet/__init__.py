"""What all pods of a monitor saw, as one: panes in, verdicts of the fleet out.

pods       what was taken of one pod: boots, fresh panes, the time that is covered. Pure
book       one monitor: panes of all pods merged, windows judged by the sidecar's own code. Pure
peers      pods tested against each other. Pure
checkpoint a book as bytes, so that windows and verdicts survive a failover. Pure
views      a book as status: conditions, windows, worst features. Pure
pull       asks the pods' analyzers
intake     takes the last panes of pods that end
captures   a fleet's reference: pods' rows gathered into one profile
metrics    the series `modelmonitor_fleet_*`
"""
