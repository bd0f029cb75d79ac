"""The hub: remembers predictions, takes what becomes true of them, and adds both up in its database.

refusal      what a request is refused with
schema       the tables
migrations   how a database gets them
database     SQLite or PostgreSQL: connections, transactions, batches of rows
partitions   PostgreSQL's predictions by day
registry     monitors, profiles and tokens, as the database has them
outcomes     a class by its name, or a value: what the model's type makes of a prediction or label
strata       version, variant and segments as one number; a sender as another
intake       predictions, labels, feedback and KPI events into the database, each once
reading      a prediction with all that is known of its id; erasure of an id
panes        the fleet's pane history
retention    what is deleted, by age and by number
aggregates   sums over a window, by GROUP BY
bodies       JSON, NDJSON, CSV and Parquet into events
limits       how much a token may send
tokens       who may do what
openapi      the document that describes the API
api          the HTTP side
program      the hub as it runs

Where the database is asked, everything is synchronous and takes a connection; `api` calls it in threads.
"""
