"""Bounds that hold at all times together: looking early and often costs nothing."""
