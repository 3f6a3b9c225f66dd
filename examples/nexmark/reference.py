"""Computes in DuckDB what the queries of the Nexmark example must produce, from the same events and by nothing of
Reflow's: a file QUERY.csv for each query, sorted bytewise, without a header.

The queries are those of the Nexmark suite for Flink SQL. Where a query's result changes while events arrive, it is the
result at the end of the input. What differs from the suite: q6 orders a seller's auctions by their end, and q19 ranks
equal bids by time, so that there is one right answer; q12 counts by processing time, so only each bidder's number of
bids is known.

Usage: reference.py EVENTS_DIRECTORY OUTPUT_DIRECTORY
"""

import pathlib
import sys

import duckdb

TABLES = {
    "persons": "id BIGINT, name VARCHAR, email VARCHAR, credit_card VARCHAR, city VARCHAR, state VARCHAR, "
    "time BIGINT, extra VARCHAR",
    "auctions": "id BIGINT, item VARCHAR, description VARCHAR, initial_bid BIGINT, reserve BIGINT, time BIGINT, "
    "expires BIGINT, seller BIGINT, category BIGINT, extra VARCHAR",
    "bids": "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, time BIGINT, extra VARCHAR",
}

# The highest bid of each auction, among those between its beginning and its end.
WINNING = """
    SELECT a.id, a.category, a.seller, a.expires, max(b.price) AS price
    FROM auctions a JOIN bids b ON b.auction = a.id AND b.time BETWEEN a.time AND a.expires
    GROUP BY ALL
"""

# 0.908 is a decimal, so prices are exact.
QUERIES = {
    "q0": "SELECT auction, bidder, price, time, extra FROM bids",
    "q1": "SELECT auction, bidder, 0.908 * price, time, extra FROM bids",
    "q2": "SELECT auction, price FROM bids WHERE auction % 123 = 0",
    "q3": """
        SELECT p.name, p.city, p.state, a.id FROM auctions a JOIN persons p ON a.seller = p.id
        WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')""",
    "q4": f"SELECT category, printf('%.6f', sum(price) / count(*)) FROM ({WINNING}) GROUP BY category",
    "q5": """
        WITH windows AS (
            SELECT auction, unnest(range(time // 2000 * 2000 - 8000, time // 2000 * 2000 + 1, 2000)) AS start FROM bids),
        counts AS (SELECT start, auction, count(*) AS bids FROM windows GROUP BY ALL)
        SELECT start, start + 10000, auction, bids FROM counts
        QUALIFY rank() OVER (PARTITION BY start ORDER BY bids DESC) = 1""",
    "q6": f"""
        SELECT seller, id, printf('%.6f', sum(price) OVER last / count(*) OVER last) FROM ({WINNING})
        WINDOW last AS (PARTITION BY seller ORDER BY expires, id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)""",
    "q7": """
        SELECT auction, bidder, price, time, extra FROM bids
        QUALIFY rank() OVER (PARTITION BY time // 10000 ORDER BY price DESC) = 1""",
    "q8": """
        SELECT DISTINCT p.id, p.name, p.time // 10000 * 10000 FROM persons p
        JOIN auctions a ON p.id = a.seller AND p.time // 10000 = a.time // 10000""",
    "q11": """
        WITH begins AS (
            SELECT bidder, time,
                   coalesce(time - lag(time) OVER (PARTITION BY bidder ORDER BY time) > 10000, true) AS first FROM bids),
        sessions AS (
            SELECT bidder, time, count(*) FILTER (first) OVER (PARTITION BY bidder ORDER BY time) AS session FROM begins)
        SELECT bidder, count(*), min(time), max(time) + 10000 FROM sessions GROUP BY bidder, session""",
    "q12": "SELECT bidder, count(*) FROM bids GROUP BY bidder",
    "q13": """
        SELECT auction, bidder, price, time, 'side-' || auction % 10000 FROM bids WHERE auction % 10000 % 3 = 0""",
    "q14": """
        SELECT auction, bidder, 0.908 * price,
               CASE WHEN hour(make_timestamp(time * 1000)) BETWEEN 8 AND 18 THEN 'dayTime'
                    WHEN hour(make_timestamp(time * 1000)) <= 6 OR hour(make_timestamp(time * 1000)) >= 20
                    THEN 'nightTime' ELSE 'otherTime' END,
               time, extra, length(extra) - length(replace(extra, 'c', ''))
        FROM bids WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000""",
    "q18": """
        SELECT * FROM bids QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY time DESC) = 1""",
    "q19": """
        SELECT auction, bidder, price, time, row_number() OVER best AS rank FROM bids
        WINDOW best AS (PARTITION BY auction ORDER BY price DESC, time) QUALIFY rank <= 10""",
    "q20": """
        SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.time, b.extra,
               a.item, a.description, a.initial_bid, a.reserve, a.time, a.expires, a.seller, a.category, a.extra
        FROM bids b JOIN auctions a ON b.auction = a.id WHERE a.category = 10""",
}


def main(events, output):
    output.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({columns})")
        connection.execute(f"COPY {table} FROM '{events / table}.csv' (HEADER false)")
    for name, query in QUERIES.items():
        rows = connection.execute(query).fetchall()
        lines = sorted(",".join(str(value) for value in row) + "\n" for row in rows)
        (output / f"{name}.csv").write_text("".join(lines), encoding="ascii")
        print(f"{name}: {len(lines):,} lines")


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
