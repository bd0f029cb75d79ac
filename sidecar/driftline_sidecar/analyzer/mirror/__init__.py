"""The mirror: copies of captured requests go to a candidate, both answers are compared. Never on the path."""
