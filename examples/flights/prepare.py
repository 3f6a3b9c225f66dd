"""Turns the package's tables into the input of the jobs.

The rows keep their text; only two things change. Columns that nobody reads are left out. And the months, which
the package has in the order of their names (1, 10, 11, 12, 2 ...), come in the order of the calendar: the file
is sorted by date, and within a date it stays as it was, by the actual departure, with cancelled flights last.
So the rows come about as an airport would report them, out of order by the scheduled departure. The weather, which
the package has by airport, is sorted by the hour.

Usage: prepare.py PACKAGE_DATA_DIRECTORY OUTPUT_DIRECTORY
"""

import csv
import datetime
import io
import os
import pathlib
import sys
import zipfile

COLUMNS = [
    "year", "month", "day", "sched_dep_time", "dep_delay", "carrier", "flight", "tailnum", "origin", "dest",
]
ROWS = 336_776
"""The number of flights in the table, stated by the package's documentation."""
WEATHER_COLUMNS = ["origin", "year", "month", "day", "hour", "precip"]
WEATHER_ROWS = 26_115
"""The number of hours in the table of weather."""


def scheduled_departure(row):
    """The wall-clock time of the scheduled departure; sched_dep_time is hours * 100 + minutes."""
    hour, minute = divmod(int(row["sched_dep_time"]), 100)
    return datetime.datetime(int(row["year"]), int(row["month"]), int(row["day"]), hour, minute)


def main(package_data, output_directory):
    package_data, output_directory = pathlib.Path(package_data), pathlib.Path(output_directory)
    prepare_flights(package_data / "flights.csv.zip", output_directory / "flights.csv")
    prepare_weather(package_data / "weather.csv", output_directory / "weather.csv")


def prepare_weather(package_csv, output_csv):
    with open(package_csv, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != WEATHER_ROWS:
        sys.exit(f"{package_csv} has {len(rows):,} hours instead of {WEATHER_ROWS:,}: delete it and fetch again")
    rows.sort(key=lambda row: tuple(int(row[column]) for column in ("year", "month", "day", "hour")))
    write(output_csv, WEATHER_COLUMNS, rows)
    print(f"{output_csv}: {len(rows):,} hours")


def write(output_csv, columns, rows):
    unfinished = output_csv.with_suffix(".csv.new")
    with open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(unfinished, output_csv)


def prepare_flights(package_zip, output_csv):
    with zipfile.ZipFile(package_zip) as archive, archive.open("flights.csv") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))
    if len(rows) != ROWS:
        sys.exit(f"{package_zip} has {len(rows):,} flights instead of {ROWS:,}: delete it and fetch again")
    rows.sort(key=lambda row: (int(row["year"]), int(row["month"]), int(row["day"])))

    write(output_csv, COLUMNS, rows)
    describe(output_csv, rows)


def describe(output_csv, rows):
    """Prints what the job has to reckon with."""
    latest, lateness, late, cancelled = datetime.datetime.min, datetime.timedelta(), 0, 0
    for row in rows:
        time = scheduled_departure(row)
        latest = max(latest, time)
        lateness = max(lateness, latest - time)
        late += time < latest
        cancelled += row["dep_delay"] == "NA"
    print(f"{output_csv}: {len(rows):,} flights, {cancelled:,} without a departure delay, "
          f"{late:,} out of order by scheduled departure, by {lateness} at most")


if __name__ == "__main__":
    main(*sys.argv[1:])
