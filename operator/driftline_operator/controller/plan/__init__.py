"""What should be, planned from what was observed. Pure: no clock, no request, no order of calls."""
