"""Data files as columns: CSV, Parquet and Arrow, one file or many, in memory or larger.

    table     what is in the files: names, types, raw chunks
    csv       text tables, every cell as written
    arrow     Parquet, Arrow IPC (file and stream), Feather
    convert   raw chunks -> `driftline.columns.Batch`, with errors that name file, column and row
    spool     all rows converted once: in memory, or in a DuckDB file on disk when they don't fit
    progress  how far it is

Nothing here decides what a column means: that is the monitor's, or `driftline.schema_inference`'s.
"""
