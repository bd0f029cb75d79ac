"""The controller's side of the hub: it tells the hub of monitors and copies its word into conditions.

access      the admin token between the two, in a Secret
client      requests to the hub
registry    which monitors to tell, or to take back (pure)
opinions    what a report means for a monitor's status (pure)
follow      the loop
"""
