"""The shell around the API server, shared by all programs: requests and watches on plain JSON objects."""
