"""Prints the rows of a query on a DuckDB file as JSON lines.

    python3 rows.py warehouse.duckdb 'select * from customer_io_demo'

DuckDB's own JSON has `NaN` without quotes, which isn't JSON, and timestamps with a space. Here a value that JSON can't
hold is an error that names its column.
"""

import datetime
import json
import math
import sys

import duckdb

ROWS_AT_ONCE = 10_000


def plain(column, value):
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    kind = type(value).__name__
    sys.exit(f"column {column}: a {kind} ({value}) has no exact form in JSON; cast the column to text in the query")


def main(path, query):
    # Readers of one file don't hinder each other; a writer (a dbt run, say) locks it, so this waits for no one.
    try:
        connection = duckdb.connect(path, read_only=True)
        rows = connection.execute(query)
    except duckdb.Error as error:
        sys.exit(f"{path}: {error}")
    columns = [column[0] for column in rows.description]
    while some := rows.fetchmany(ROWS_AT_ONCE):
        for row in some:
            record = {column: plain(column, value) for column, value in zip(columns, row)}
            sys.stdout.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: rows.py FILE QUERY")
    main(*sys.argv[1:])
