"""The relay: bytes go on as they came, and an observer reads along.

`client` and `upstream` are the two protocol classes of a connection and know transports, flow control
and endings; `observer` finds exchanges in the two byte streams and knows no transport. What `observer`
can't follow makes a connection opaque: relayed, counted, no longer observed.
"""
