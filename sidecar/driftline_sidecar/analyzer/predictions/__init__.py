"""The prediction log: what the monitor names of each answer, sent to the hub off the path.

`rows` reads batches, `packet` writes them for the wire, `spool` keeps them until the hub has them, `sending`
says what an answer of the hub means, `outbox` is one monitor's loop, `log` all monitors'.
"""
