"""Computes in DuckDB what the flights job must produce, from the same file and by nothing of Reflow's.

  delay_by_carrier_and_day.csv   DAY,CARRIER,FLIGHTS,DELAY_SUM,DELAY_MEAN
      Mean departure delay in minutes per carrier and day: a tumbling window of a day. Flights whose dep_delay is
      NA (cancelled) are left out; a carrier without any other flight on a day has no line for it.

  busiest_origin.csv             WINDOW_END,ORIGIN,FLIGHTS
      The origin with most scheduled departures in the six hours before WINDOW_END (exclusive), each hour: a
      sliding window of 6 h by 1 h. Cancelled flights were scheduled and count. Of equals, the origin that comes
      first by name is named. A window without any departure has no line.

Time is the scheduled departure, in the airport's wall-clock time read as if it were UTC: days are local days,
and there is no daylight saving. Windows are aligned to the epoch. Both files are sorted bytewise, without a
header. README.md beside this file has the same in a job's words.

Usage: reference.py FLIGHTS_CSV OUTPUT_DIRECTORY
"""

import pathlib
import sys

import duckdb

FLIGHTS = """
    CREATE TABLE flights AS
    SELECT make_timestamp(year, month, day, sched_dep_time // 100, sched_dep_time % 100, 0) AS time,
           carrier, origin, dep_delay
    FROM read_csv(?, header = true, nullstr = 'NA', columns = {
        'year': 'BIGINT', 'month': 'BIGINT', 'day': 'BIGINT', 'sched_dep_time': 'BIGINT',
        'dep_delay': 'BIGINT', 'carrier': 'VARCHAR', 'flight': 'BIGINT', 'tailnum': 'VARCHAR',
        'origin': 'VARCHAR', 'dest': 'VARCHAR'})
"""

DELAY_BY_CARRIER_AND_DAY = """
    SELECT strftime(time, '%Y-%m-%d') AS day, carrier, count(*), sum(dep_delay)
    FROM flights
    WHERE dep_delay IS NOT NULL
    GROUP BY ALL
"""

BUSIEST_ORIGIN = """
    WITH windows AS (
        SELECT unnest(range(date_trunc('hour', time) + INTERVAL 1 HOUR,
                            date_trunc('hour', time) + INTERVAL 7 HOURS,
                            INTERVAL 1 HOUR)) AS window_end,
               origin
        FROM flights),
    counts AS (
        SELECT window_end, origin, count(*) AS departures FROM windows GROUP BY ALL)
    SELECT strftime(window_end, '%Y-%m-%dT%H:%M:%SZ'), origin, departures
    FROM counts
    QUALIFY row_number() OVER (PARTITION BY window_end ORDER BY departures DESC, origin) = 1
"""


def write(path, lines):
    path.write_text("".join(sorted(f"{line}\n" for line in lines)), encoding="ascii")
    print(f"{path}: {len(lines):,} lines")


def main(flights_csv, output_directory):
    output = pathlib.Path(output_directory)
    output.mkdir(parents=True, exist_ok=True)
    database = duckdb.connect()
    database.execute(FLIGHTS, [flights_csv])

    # Sum and count are exact. The mean is their quotient in double precision, rounded to six places.
    delays = database.execute(DELAY_BY_CARRIER_AND_DAY).fetchall()
    write(output / "delay_by_carrier_and_day.csv",
          [f"{day},{carrier},{flights},{total},{int(total) / flights:.6f}" for day, carrier, flights, total in delays])

    busiest = database.execute(BUSIEST_ORIGIN).fetchall()
    write(output / "busiest_origin.csv", [f"{end},{origin},{departures}" for end, origin, departures in busiest])


if __name__ == "__main__":
    main(*sys.argv[1:])
