"""Prints the rows of a query on a DuckDB file as JSON lines.

    python3 rows.py warehouse.duckdb 'select * from customer_io_demo'

DuckDB's own JSON has `NaN` without quotes, which isn't valid JSON, and timestamps with a space. In the output of this script,
numbers keep their digits, JSON columns are nested, and points in time are ISO 8601. NaN and infinity become null, with a
warning. A value that JSON can't represent without loss is an error that names its column. `types-duckdb.sql` has a value of
each type.
"""

import base64
import datetime
import decimal
import json
import math
import sys
import uuid

import duckdb

ROWS_AT_ONCE = 10_000


def text(value):
    """Returns a value as JSON, or raises ValueError."""
    if value is None or isinstance(value, (bool, int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return f'"{value.isoformat()}"'
    if isinstance(value, uuid.UUID):
        return f'"{value}"'
    if isinstance(value, (bytes, bytearray)):
        return f'"{base64.b64encode(value).decode()}"'
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(name), ensure_ascii=False)}:{text(item)}" for name, item in value.items()) + "}"
    # This includes intervals: Python counts a month as 30 days.
    raise ValueError(f"a {type(value).__name__} ({value}) has no exact form in JSON")


def column_text(name, kind, warned):
    """Returns a function that converts the values of a column to JSON."""

    def convert(value):
        if kind == "JSON" and value is not None:
            # The value is already JSON, with all digits. A line end can only be between tokens.
            return value.replace("\n", " ").replace("\r", " ")
        if isinstance(value, float) and not math.isfinite(value) and name not in warned:
            warned.add(name)
            print(f"column {name}: NaN and infinity become null", file=sys.stderr)
        try:
            return text(value)
        except ValueError as error:
            sys.exit(f"column {name}: {error}; cast the column to text in the query")

    return convert


def main(path, query):
    # Several readers can open a file at once. A writer (such as a dbt run) locks it. Then this call fails and does not wait.
    try:
        connection = duckdb.connect(path, read_only=path != ":memory:")
        rows = connection.execute(query)
    except duckdb.Error as error:
        sys.exit(f"{path}: {error}")
    warned = set()
    heads = [f"{json.dumps(column[0], ensure_ascii=False)}:" for column in rows.description]
    texts = [column_text(column[0], str(column[1]), warned) for column in rows.description]
    while some := rows.fetchmany(ROWS_AT_ONCE):
        for row in some:
            fields = (head + convert(value) for head, convert, value in zip(heads, texts, row))
            sys.stdout.write("{" + ",".join(fields) + "}\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: rows.py FILE QUERY")
    main(*sys.argv[1:])
