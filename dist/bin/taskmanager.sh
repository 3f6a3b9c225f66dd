#!/usr/bin/env bash
# Starts and stops TaskManagers on this machine.

# shellcheck source=dist/bin/config.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/config.sh"

usage() {
    cat <<USAGE
Usage: taskmanager.sh start|start-foreground [-Dkey=value]...
       taskmanager.sh stop|stop-all

  start             adds a TaskManager to the cluster, in the background
  start-foreground  the same, in the foreground, with its log on the terminal
  stop              ends the TaskManager started last; the job moves off it first
  stop-all          ends all TaskManagers of this distribution on this machine

Logs are in $REFLOW_LOG_DIR, the configuration in $REFLOW_CONF_DIR.
USAGE
}

service=taskmanager
definitions=()

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            -D) [ $# -gt 1 ] || fail "-D needs key=value"; definitions+=("-D$2"); shift ;;
            -D*) definitions+=("$1") ;;
            -h | --help) usage; exit 0 ;;
            *) fail "unknown argument '$1'; see taskmanager.sh --help" ;;
        esac
        shift
    done
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    start | start-foreground)
        read_arguments "$@"
        set -- "$REFLOW_BIN_DIR/reflow" taskmanager --config-dir "$REFLOW_CONF_DIR" \
            ${definitions[@]+"${definitions[@]}"}
        if [ "$command" = start ]; then start_daemon "$service" "$@"; else exec "$@"; fi
        ;;
    stop) read_arguments "$@"; stop_daemon "$service" ;;
    stop-all) read_arguments "$@"; stop_all_daemons "$service" ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
esac
