"""The sidecar: supervisor, relay worker, tee, decoders, analyzer, admin."""
