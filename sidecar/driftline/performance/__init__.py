"""How good a model's answers were, from aggregates that a database's GROUP BY gives. No rows, no clock."""
