#!/usr/bin/env python3
"""Starts and stops TaskManagers of a job in reactive mode, as its load asks for.

    scaling/autoscale.py --max 4

Every few seconds it asks the JobManager's REST API how busy the subtasks are. The busiest vertex
decides: so many slots that its subtasks would be busy for --target of the time. TaskManagers are
started at once, because records wait, and stopped one by one when fewer have been enough for
--patience rounds. An example to copy: on Kubernetes, set the replicas of a Deployment instead of
calling taskmanager.sh.
"""

import argparse
import json
import math
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "bin" / "taskmanager.sh"


def get(rest, path):
    with urllib.request.urlopen(rest + path, timeout=5) as answer:
        return json.load(answer)


def busy_slots(rest, job, vertex):
    metrics = get(rest, f"/jobs/{job}/vertices/{vertex}/subtasks/metrics?get=busyTimeMsPerSecond&agg=sum")
    return metrics[0]["sum"] / 1000 if metrics else 0.0


def load(rest):
    """The busiest vertex that can have more subtasks, and how many slots its subtasks keep busy."""
    running = [job["jid"] for job in get(rest, "/jobs/overview")["jobs"] if job["state"] == "RUNNING"]
    highest, name = 0.0, "nothing"
    for job in running:
        for vertex in get(rest, f"/jobs/{job}")["vertices"]:
            busy = busy_slots(rest, job, vertex["id"])
            if busy > highest and vertex["maxParallelism"] > 1:
                highest, name = busy, vertex["name"]
    return highest, name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rest", default="http://localhost:8081", help="the JobManager's REST API")
    parser.add_argument("--ca-file", help="the authority of its certificate, for https://")
    parser.add_argument("--token-file", help="a file with a token of rest.authentication.file")
    parser.add_argument("--min", type=int, default=1, help="the fewest TaskManagers")
    parser.add_argument("--max", type=int, default=4, help="the most TaskManagers")
    parser.add_argument("--target", type=float, default=0.7, help="how busy a subtask shall be, 0 to 1")
    parser.add_argument("--interval", type=float, default=5, help="seconds from one look to the next")
    parser.add_argument("--patience", type=int, default=6, help="rounds of low load before a TaskManager stops")
    options = parser.parse_args()
    trust = ssl.create_default_context(cafile=options.ca_file)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust))
    if options.token_file:
        token = pathlib.Path(options.token_file).read_text().split()[0]
        opener.addheaders.append(("Authorization", f"Bearer {token}"))
    urllib.request.install_opener(opener)
    low = 0
    while True:
        try:
            managers = get(options.rest, "/taskmanagers")["taskmanagers"]
            busy, vertex = load(options.rest)
        except (urllib.error.URLError, OSError, KeyError, ValueError) as error:
            print(f"no answer from {options.rest}: {error}", file=sys.stderr)
            time.sleep(options.interval)
            continue
        slots = max((manager["slotsNumber"] for manager in managers), default=1)
        wanted = math.ceil(busy / options.target / slots)
        wanted = min(max(wanted, options.min), options.max)
        low = low + 1 if wanted < len(managers) else 0
        print(f"{time.strftime('%X')} {len(managers)} TaskManagers, {wanted} wanted: "
              f"{vertex} keeps {busy:.2f} slots busy", flush=True)
        if wanted > len(managers):
            for _ in range(wanted - len(managers)):
                subprocess.run([SCRIPT, "start"], check=False, start_new_session=True)
        elif low >= options.patience:
            subprocess.run([SCRIPT, "stop"], check=False, start_new_session=True)  # the job moves off it first
            low = 0
        time.sleep(options.interval)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
