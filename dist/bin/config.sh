#!/usr/bin/env bash
# What the scripts share: where things are, and how a daemon is started and stopped.
#
# Sourced, never run. The environment may set, as in Flink:
#   REFLOW_CONF_DIR      the directory of config.yaml        (default: conf/ of the distribution)
#   REFLOW_LOG_DIR       the directory of logs               (default: env.log.dir, else log/)
#   REFLOW_PID_DIR       the directory of pid files          (default: env.pid.dir, else /tmp)
#   REFLOW_IDENT_STRING  who runs it, part of file names     (default: the user)
#   REFLOW_STOP_TIMEOUT  seconds that a daemon may take to end before it is killed (default: 660)

# The directory of a script, whichever symbolic links led to it.
script_directory() {
    local path=$1 target
    while [ -L "$path" ]; do
        target=$(readlink "$path")
        case $target in
            /*) path=$target ;;
            *) path=$(dirname "$path")/$target ;;
        esac
    done
    (cd "$(dirname "$path")" && pwd -P)
}

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# The values of KEY... in config.yaml, a line each, empty where there is none. Reads nested and dotted
# keys; the rest of YAML is left to the processes, which check the whole file.
read_config() {
    local file=$REFLOW_CONF_DIR/config.yaml
    [ -r "$file" ] || fail "cannot read $file; set REFLOW_CONF_DIR to the directory of config.yaml"
    awk -v wanted="$*" '
        /^[ ]*(#|$)/ { next }
        match($0, /^[ ]*[A-Za-z0-9._-]+:/) {
            colon = RLENGTH
            indent = match($0, /[^ ]/) - 1
            key = substr($0, indent + 1, colon - indent - 1)
            value = substr($0, colon + 1)
            sub(/[ ]+#.*$/, "", value)
            gsub(/^[ ]+|[ ]+$/, "", value)
            if (value ~ /^#/) value = ""
            if (value ~ /^".*"$/ || value ~ /^\047.*\047$/) {
                value = substr(value, 2, length(value) - 2)
            }
            while (depth > 0 && indents[depth] >= indent) depth--
            path = depth > 0 ? paths[depth] "." key : key
            if (value == "") { depth++; indents[depth] = indent; paths[depth] = path }
            else values[path] = value
        }
        END { n = split(wanted, keys, " "); for (i = 1; i <= n; i++) print values[keys[i]] }
    ' "$file"
}

REFLOW_BIN_DIR=$(script_directory "${BASH_SOURCE[0]}")
REFLOW_HOME=$(dirname "$REFLOW_BIN_DIR")
REFLOW_LIB_DIR=$REFLOW_HOME/lib
REFLOW_CONF_DIR=$(cd "${REFLOW_CONF_DIR:-$REFLOW_HOME/conf}" 2>/dev/null && pwd -P) ||
    fail "there is no configuration directory; set REFLOW_CONF_DIR to the directory of config.yaml"
export REFLOW_HOME REFLOW_LIB_DIR REFLOW_CONF_DIR

{
    read -r configured_log_dir
    read -r configured_pid_dir
    read -r configured_log_max
} < <(read_config env.log.dir env.pid.dir env.log.max)
REFLOW_LOG_DIR=${REFLOW_LOG_DIR:-${configured_log_dir:-$REFLOW_HOME/log}}
REFLOW_PID_DIR=${REFLOW_PID_DIR:-${configured_pid_dir:-/tmp}}
REFLOW_LOG_MAX=${configured_log_max:-10}
[[ $REFLOW_LOG_MAX =~ ^[0-9]+$ ]] || fail "'$REFLOW_LOG_MAX' is no value for env.log.max; expected a whole number"
REFLOW_IDENT_STRING=${REFLOW_IDENT_STRING:-${USER:-$(id -un)}}
REFLOW_STOP_TIMEOUT=${REFLOW_STOP_TIMEOUT:-660}
export REFLOW_LOG_DIR
HOSTNAME=${HOSTNAME:-$(hostname)}

# Several distributions on one machine share /tmp: their pid files differ by the configuration they run.
distribution=$(printf %s "$REFLOW_CONF_DIR" | cksum | cut -d ' ' -f 1)

pid_file() {
    echo "$REFLOW_PID_DIR/reflow-$REFLOW_IDENT_STRING-$1-$distribution.pid"
}

# Starts and stops of one service take turns, so that no pid is lost.
lock_service() {
    mkdir -p "$REFLOW_PID_DIR" ||
        fail "cannot make the directory of pid files $REFLOW_PID_DIR; see env.pid.dir"
    if command -v flock >/dev/null; then
        exec 9>"$(pid_file "$1").lock" || fail "cannot write to $REFLOW_PID_DIR; see env.pid.dir"
        flock 9
    fi
}

# Whether PID is a process of this distribution: after a reboot it may be anybody's.
is_running() {
    kill -0 "$1" 2>/dev/null || return 1
    [ ! -r "/proc/$1/cmdline" ] || tr '\0' '\n' <"/proc/$1/cmdline" | grep -qxF -- "$REFLOW_CONF_DIR"
}

# Fills `pids` from the pid file, the last started last; dead ones at its end are forgotten.
read_pids() {
    pids=()
    local pid file
    file=$(pid_file "$1")
    if [ -f "$file" ]; then
        while read -r pid; do pids+=("$pid"); done <"$file"
    fi
    while [ ${#pids[@]} -gt 0 ] && ! is_running "${pids[${#pids[@]} - 1]}"; do
        unset "pids[${#pids[@]}-1]"
    done
}

write_pids() {
    local file
    file=$(pid_file "$1")
    if [ ${#pids[@]} -eq 0 ]; then
        rm -f "$file"
    else
        printf '%s\n' "${pids[@]}" >"$file"
    fi
}

# FILE becomes FILE.1, FILE.1 becomes FILE.2, and so on up to env.log.max.
rotate_log() {
    local number
    [ -e "$1" ] || return 0
    for ((number = REFLOW_LOG_MAX; number > 1; number--)); do
        [ ! -e "$1.$((number - 1))" ] || mv -f "$1.$((number - 1))" "$1.$number"
    done
    if [ "$REFLOW_LOG_MAX" -gt 0 ]; then mv -f "$1" "$1.1"; else rm -f "$1"; fi
}

# start_daemon SERVICE COMMAND...: its standard output goes to the .out file, its log to the .log file.
start_daemon() {
    local service=$1 prefix pid running=0 other
    shift
    lock_service "$service"
    read_pids "$service"
    mkdir -p "$REFLOW_LOG_DIR" || fail "cannot make the directory of logs $REFLOW_LOG_DIR; see env.log.dir"
    prefix=$REFLOW_LOG_DIR/reflow-$REFLOW_IDENT_STRING-$service-${#pids[@]}-$HOSTNAME
    rotate_log "$prefix.log"
    rotate_log "$prefix.out"

    for other in ${pids[@]+"${pids[@]}"}; do
        if is_running "$other"; then running=$((running + 1)); fi
    done
    if [ "$running" -gt 0 ]; then
        echo "[INFO] $running instance(s) of $service are already running on $HOSTNAME."
    fi
    echo "Starting $service daemon on host $HOSTNAME."
    REFLOW_LOG_FILE=$prefix.log nohup "$@" </dev/null >"$prefix.out" 2>"$prefix.log" 9>&- &
    pid=$!
    pids+=("$pid")
    write_pids "$service"
    watch_start "$service" "$pid" "$prefix.log"
}

# A daemon that cannot start (a bad option, a port taken) ends at once: say so here, not only in its log.
watch_start() {
    local service=$1 pid=$2 log=$3 code=0
    for _ in 1 2 3 4 5; do
        sleep 0.1
        kill -0 "$pid" 2>/dev/null && continue
        wait "$pid" || code=$?
        if [ "$code" -ne 0 ]; then
            unset "pids[${#pids[@]}-1]"
            write_pids "$service"
            tail -n 20 "$log" >&2
            fail "$service ended with exit code $code; see $log"
        fi
        return
    done
}

# Asks PIDs to end and waits until they have.
end_processes() {
    local service=$1 pid waited=0
    shift
    for pid in "$@"; do
        echo "Stopping $service daemon (pid: $pid) on host $HOSTNAME."
        kill -TERM "$pid" 2>/dev/null
    done
    for pid in "$@"; do
        while kill -0 "$pid" 2>/dev/null; do
            if [ "$waited" -ge $((REFLOW_STOP_TIMEOUT * 10)) ]; then
                echo "$service (pid: $pid) has not ended in $REFLOW_STOP_TIMEOUT s; killing it." >&2
                kill -KILL "$pid" 2>/dev/null
                break
            fi
            sleep 0.1
            waited=$((waited + 1))
        done
    done
}

# stop_daemon SERVICE: ends the one started last.
stop_daemon() {
    local last
    lock_service "$1"
    read_pids "$1"
    if [ ${#pids[@]} -eq 0 ]; then
        write_pids "$1"
        echo "No $1 daemon to stop on host $HOSTNAME."
        return
    fi
    last=${pids[${#pids[@]} - 1]}
    end_processes "$1" "$last"
    unset "pids[${#pids[@]}-1]"
    write_pids "$1"
}

# stop_all_daemons SERVICE: ends all of this distribution, together.
stop_all_daemons() {
    local pid running=()
    lock_service "$1"
    read_pids "$1"
    for pid in ${pids[@]+"${pids[@]}"}; do
        if is_running "$pid"; then running+=("$pid"); fi
    done
    if [ ${#running[@]} -eq 0 ]; then
        echo "No $1 daemon to stop on host $HOSTNAME."
    else
        end_processes "$1" "${running[@]}"
    fi
    pids=()
    write_pids "$1"
}
