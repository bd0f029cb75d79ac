"""The analyzer: exchanges come in over a Unix socket, windows and verdicts go out over HTTP.

It runs in a process (in a pod: a container) of its own, so that nothing it does can delay or
break a request. It must not know how exchanges are captured (`driftline_sidecar.relay`).
"""
