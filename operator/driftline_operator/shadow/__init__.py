"""Shadow deployments as the controller sees them: candidates, their course, what is judged. Pure."""
