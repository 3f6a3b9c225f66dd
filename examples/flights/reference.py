"""Computes in DuckDB what the jobs with flights must produce, from the same files and by nothing of Reflow's.

  delay_by_carrier_and_day.csv   DAY,CARRIER,FLIGHTS,DELAY_SUM,DELAY_MEAN
      Mean departure delay in minutes per carrier and day: a tumbling window of a day. Flights whose dep_delay is
      NA (cancelled) are left out; a carrier without any other flight on a day has no line for it.

  busiest_origin.csv             WINDOW_END,ORIGIN,FLIGHTS
      The origin with most scheduled departures in the six hours before WINDOW_END (exclusive), each hour: a
      sliding window of 6 h by 1 h. Cancelled flights were scheduled and count. Of equals, the origin that comes
      first by name is named. A window without any departure has no line.

  sessions_by_aircraft.csv       TAILNUM,FIRST,LAST,FLIGHTS
      Sessions of an aircraft: its flights, cancelled ones too, between which it never rests for more than 12 h.
      FIRST and LAST are the times of the first and the last flight. Sessions of fewer than three flights, and
      flights without a tail number, are left out.

  delays_in_rain.csv             DAY,ORIGIN,FLIGHTS,DELAY_SUM,FLIGHTS_IN_RAIN,DELAY_SUM_IN_RAIN
      Flights that were not cancelled, joined with the weather of their origin in the hour of their departure, per
      day and origin. A flight in an hour without weather is left out; one in an hour with two lines of weather
      counts twice.

Time is the scheduled departure, in the airport's wall-clock time read as if it were UTC: days are local days,
and there is no daylight saving. Windows are aligned to the epoch. All files are sorted bytewise, without a
header. README.md beside this file has the same in a job's words.

Usage: reference.py INPUT_DIRECTORY OUTPUT_DIRECTORY
"""

import pathlib
import sys

import duckdb

FLIGHTS = """
    CREATE TABLE flights AS
    SELECT make_timestamp(year, month, day, sched_dep_time // 100, sched_dep_time % 100, 0) AS time,
           carrier, origin, dep_delay, tailnum
    FROM read_csv(?, header = true, nullstr = 'NA', columns = {
        'year': 'BIGINT', 'month': 'BIGINT', 'day': 'BIGINT', 'sched_dep_time': 'BIGINT',
        'dep_delay': 'BIGINT', 'carrier': 'VARCHAR', 'flight': 'BIGINT', 'tailnum': 'VARCHAR',
        'origin': 'VARCHAR', 'dest': 'VARCHAR'})
"""

WEATHER = """
    CREATE TABLE weather AS
    SELECT make_timestamp(year, month, day, hour, 0, 0) AS time, origin, precip
    FROM read_csv(?, header = true, columns = {
        'origin': 'VARCHAR', 'year': 'BIGINT', 'month': 'BIGINT', 'day': 'BIGINT', 'hour': 'BIGINT',
        'precip': 'DOUBLE'})
"""

SESSIONS_BY_AIRCRAFT = """
    WITH starts AS (
        SELECT tailnum, time,
               coalesce(time - lag(time) OVER (PARTITION BY tailnum ORDER BY time) > INTERVAL 12 HOURS, true) AS starts
        FROM flights
        WHERE tailnum IS NOT NULL),
    numbered AS (
        SELECT tailnum, time,
               sum(starts::BIGINT) OVER (PARTITION BY tailnum ORDER BY time RANGE UNBOUNDED PRECEDING) AS session
        FROM starts)
    SELECT tailnum, strftime(min(time), '%Y-%m-%dT%H:%M:%SZ'), strftime(max(time), '%Y-%m-%dT%H:%M:%SZ'), count(*)
    FROM numbered
    GROUP BY tailnum, session
    HAVING count(*) >= 3
"""

DELAYS_IN_RAIN = """
    SELECT strftime(flights.time, '%Y-%m-%d') AS day, flights.origin, count(*), sum(dep_delay),
           count(*) FILTER (precip > 0), coalesce(sum(dep_delay) FILTER (precip > 0), 0)
    FROM flights JOIN weather
      ON weather.origin = flights.origin
     AND weather.time > flights.time - INTERVAL 1 HOUR AND weather.time <= flights.time
    WHERE dep_delay IS NOT NULL
    GROUP BY ALL
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


def main(input_directory, output_directory):
    flights_csv, weather_csv = (f"{input_directory}/{table}.csv" for table in ("flights", "weather"))
    output = pathlib.Path(output_directory)
    output.mkdir(parents=True, exist_ok=True)
    database = duckdb.connect()
    database.execute(FLIGHTS, [flights_csv])
    database.execute(WEATHER, [weather_csv])

    # Sum and count are exact. The mean is their quotient in double precision, rounded to six places.
    delays = database.execute(DELAY_BY_CARRIER_AND_DAY).fetchall()
    write(output / "delay_by_carrier_and_day.csv",
          [f"{day},{carrier},{flights},{total},{int(total) / flights:.6f}" for day, carrier, flights, total in delays])

    busiest = database.execute(BUSIEST_ORIGIN).fetchall()
    write(output / "busiest_origin.csv", [f"{end},{origin},{departures}" for end, origin, departures in busiest])

    for name, query in (("sessions_by_aircraft", SESSIONS_BY_AIRCRAFT), ("delays_in_rain", DELAYS_IN_RAIN)):
        rows = database.execute(query).fetchall()
        write(output / f"{name}.csv", [",".join(map(str, row)) for row in rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
