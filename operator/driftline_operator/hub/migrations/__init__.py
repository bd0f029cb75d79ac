"""How a database gets the tables, step by step; run at the hub's start by `migrate`."""
