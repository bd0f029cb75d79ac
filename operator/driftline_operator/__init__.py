"""Driftline on Kubernetes: the injector gives pods their sidecars, the controller judges the fleet."""
