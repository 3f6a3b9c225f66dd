#!/usr/bin/env bash
# What the scripts share: where things are, and how a daemon is started and stopped.
#
# Sourced, never run. The environment may set, as in Flink:
#   REFLOW_CONF_DIR      the directory of config.yaml        (default: conf/ of the distribution)
#   REFLOW_LOG_DIR       the directory of logs               (default: env.log.dir)
#   REFLOW_PID_DIR       the directory of pid files          (default: env.pid.dir)
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

# Fills `values` with those of KEY..., as the processes read them: the executable is the only reader of config.yaml.
read_config() {
    local value
    values=()
    [ -x "$REFLOW_BIN_DIR/reflow" ] ||
        fail "$REFLOW_BIN_DIR/reflow is missing; is the distribution complete?"
    while IFS= read -r -d '' value; do
        values+=("$value")
    done < <("$REFLOW_BIN_DIR/reflow" config --null --config-dir "$REFLOW_CONF_DIR" --home "$REFLOW_HOME" --print "$@")
    [ ${#values[@]} -eq $# ] || fail "cannot read the configuration in $REFLOW_CONF_DIR; see above"
}

REFLOW_BIN_DIR=$(script_directory "${BASH_SOURCE[0]}")
REFLOW_HOME=$(dirname "$REFLOW_BIN_DIR")
REFLOW_LIB_DIR=$REFLOW_HOME/lib
REFLOW_CONF_DIR=$(cd "${REFLOW_CONF_DIR:-$REFLOW_HOME/conf}" 2>/dev/null && pwd -P) ||
    fail "there is no configuration directory; set REFLOW_CONF_DIR to the directory of config.yaml"
export REFLOW_HOME REFLOW_LIB_DIR REFLOW_CONF_DIR

read_config env.log.dir env.pid.dir env.log.max
REFLOW_LOG_DIR=${REFLOW_LOG_DIR:-${values[0]}}
REFLOW_PID_DIR=${REFLOW_PID_DIR:-${values[1]}}
REFLOW_LOG_MAX=${values[2]}
REFLOW_IDENT_STRING=${REFLOW_IDENT_STRING:-${USER:-$(id -un 2>/dev/null || id -u)}}
REFLOW_IDENT_STRING=${REFLOW_IDENT_STRING//\//_}
REFLOW_STOP_TIMEOUT=${REFLOW_STOP_TIMEOUT:-660}
export REFLOW_LOG_DIR
HOSTNAME=${HOSTNAME:-$(hostname)}

# Several distributions on one machine share /tmp: their pid files differ by the configuration they run.
distribution=$(printf %s "$REFLOW_CONF_DIR" | cksum | cut -d ' ' -f 1)

pid_file() {
    echo "$REFLOW_PID_DIR/reflow-$REFLOW_IDENT_STRING-$1-$distribution.pid"
}

# Reading and writing a service's pid file is done by one script at a time. The lock is held for no longer than that:
# a daemon may take minutes to end, and nobody who starts another one waits for it.
lock_service() {
    mkdir -p "$REFLOW_PID_DIR" ||
        fail "cannot make the directory of pid files $REFLOW_PID_DIR; see env.pid.dir"
    if command -v flock >/dev/null; then
        exec 9>"$(pid_file "$1").lock" || fail "cannot write to $REFLOW_PID_DIR; see env.pid.dir"
        flock 9
    fi
}

unlock_service() {
    exec 9>&-
}

# Prints what tells PID from any later process of the same number (when it started), if it is a process of SERVICE that
# runs with this distribution's configuration. Fails for all others: after a reboot a pid may be anybody's, and what
# cannot be shown to be ours is never signalled.
process_identity() {
    local service=$1 pid=$2 word argument place arguments=() fields=() line
    [[ $pid =~ ^[1-9][0-9]*$ ]] || return 1
    case $service in
        standalonejob) word=jobmanager ;;
        *) word=$service ;;
    esac
    if [ -e /proc/self/stat ]; then
        {
            line=$(<"/proc/$pid/stat") &&
                while IFS= read -r -d '' argument; do arguments+=("$argument"); done <"/proc/$pid/cmdline"
        } 2>/dev/null || return 1
        # The name in parentheses may hold anything; what follows are numbers, the 20th of them the time.
        read -r -a fields <<<"${line##*) }"
        # The word stands behind the executable, or behind nohup and the like.
        for place in 1 2 3; do
            if [ "${arguments[place]-}" = "$word" ] && [ "${arguments[place + 1]-}" = --config-dir ] &&
                [ "${arguments[place + 2]-}" = "$REFLOW_CONF_DIR" ]; then
                echo "${fields[19]}"
                return
            fi
        done
        return 1
    fi
    line=$(ps -ww -o lstart= -o args= -p "$pid" 2>/dev/null) || return 1
    case "$line " in
        *" $word --config-dir $REFLOW_CONF_DIR "*) echo "${line:0:24}" ;;
        *) return 1 ;;
    esac
}

is_running() {
    process_identity "$1" "$2" >/dev/null
}

# Fills `pids` from the pid file, the last started last, and `marks` with what stands beside each: `stopping`, or nothing.
# Dead ones at its end are forgotten; those before keep the numbers of the log files of the others.
read_pids() {
    pids=()
    marks=()
    local pid mark file
    file=$(pid_file "$1")
    if [ -e "$file" ]; then
        [ -r "$file" ] || fail "cannot read $file; does it belong to another user?"
        while read -r pid mark || [ -n "$pid" ]; do
            if [[ $pid =~ ^[1-9][0-9]*$ ]]; then
                pids+=("$pid")
                marks+=("$mark")
            elif [ -n "$pid" ]; then
                echo "$(basename "$0"): '$pid' in $file is no process id; ignored" >&2
            fi
        done <"$file"
    fi
    while [ ${#pids[@]} -gt 0 ] && ! is_running "$1" "${pids[${#pids[@]} - 1]}"; do
        forget_last
    done
}

forget_last() {
    unset "pids[${#pids[@]}-1]" "marks[${#marks[@]}-1]"
}

# write_pids SERVICE [SPARE]: replaces the pid file at once, so that a full disk leaves the former one. SPARE is room for
# a pid that is yet to come.
write_pids() {
    local file number
    file=$(pid_file "$1")
    if [ ${#pids[@]} -eq 0 ] && [ $# -lt 2 ]; then
        rm -f "$file"
        return
    fi
    if (
        for ((number = 0; number < ${#pids[@]}; number++)); do
            echo "${pids[number]} ${marks[number]}" || exit 1
        done
        [ $# -lt 2 ] || echo "$2"
    ) >"$file.new" && mv -f "$file.new" "$file"; then
        return
    fi
    rm -f "$file.new"
    return 1
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
    mkdir -p "$REFLOW_LOG_DIR" || fail "cannot make the directory of logs $REFLOW_LOG_DIR; see env.log.dir"
    lock_service "$service"
    read_pids "$service"
    write_pids "$service" "                " ||
        fail "cannot write $(pid_file "$service"), so $service was not started; is the disk full? See env.pid.dir"
    prefix=$REFLOW_LOG_DIR/reflow-$REFLOW_IDENT_STRING-$service-${#pids[@]}-$HOSTNAME
    rotate_log "$prefix.log"
    rotate_log "$prefix.out"

    for other in ${pids[@]+"${pids[@]}"}; do
        if is_running "$service" "$other"; then running=$((running + 1)); fi
    done
    if [ "$running" -gt 0 ]; then
        echo "[INFO] $running instance(s) of $service are already running on $HOSTNAME."
    fi
    echo "Starting $service daemon on host $HOSTNAME."
    REFLOW_LOG_FILE=$prefix.log nohup "$@" </dev/null >"$prefix.out" 2>"$prefix.log" 9>&- &
    pid=$!
    pids+=("$pid")
    marks+=("")
    if ! write_pids "$service"; then
        kill -TERM "$pid"
        fail "cannot write $(pid_file "$service"), so $service (pid: $pid) was told to end; see env.pid.dir"
    fi
    # Until it runs its own executable, others would take it for a stranger.
    for _ in {1..200}; do
        kill -0 "$pid" 2>/dev/null && ! is_running "$service" "$pid" || break
        sleep 0.01
    done
    unlock_service
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
            forget_dead "$service"
            tail -n 20 "$log" >&2
            fail "$service ended with exit code $code; see $log"
        fi
        return
    done
}

forget_dead() {
    lock_service "$1"
    read_pids "$1"
    write_pids "$1" || echo "$(basename "$0"): cannot write $(pid_file "$1"); see env.pid.dir" >&2
    unlock_service
}

# end_processes SERVICE NUMBER...: asks those of `pids` to end that have not been asked yet, and waits until all have.
end_processes() {
    local service=$1 number pid waited=0 failed=0 identities=()
    shift
    for number in "$@"; do
        pid=${pids[number]}
        identities[number]=$(process_identity "$service" "$pid") || continue
        if [ "${marks[number]}" = stopping ]; then
            echo "$service daemon (pid: $pid) on host $HOSTNAME is being stopped already; waiting for it."
            continue
        fi
        echo "Stopping $service daemon (pid: $pid) on host $HOSTNAME."
        if ! signal_process "$service" "$pid" "${identities[number]}" TERM; then
            echo "cannot signal $service (pid: $pid); does it belong to another user?" >&2
            identities[number]=
            failed=1
        fi
    done
    for number in "$@"; do
        pid=${pids[number]}
        while [ -n "${identities[number]}" ] &&
            [ "$(process_identity "$service" "$pid")" = "${identities[number]}" ]; do
            if [ "$waited" -ge $((REFLOW_STOP_TIMEOUT * 10)) ]; then
                echo "$service (pid: $pid) has not ended in $REFLOW_STOP_TIMEOUT s; killing it." >&2
                signal_process "$service" "$pid" "${identities[number]}" KILL
                break
            fi
            sleep 0.1
            waited=$((waited + 1))
        done
    done
    return "$failed"
}

# signal_process SERVICE PID IDENTITY SIGNAL: looks once more, right before, that it still is the same process. One that
# has ended meanwhile is well.
signal_process() {
    [ "$(process_identity "$1" "$2")" != "$3" ] || kill "-$4" "$2" 2>/dev/null || ! is_running "$1" "$2"
}

# stop_some SERVICE NUMBER...: marks them in the pid file, lets others have it, and ends them.
stop_some() {
    local service=$1 number former failed=0
    shift
    former=("${marks[@]}")
    for number in "$@"; do marks[number]=stopping; done
    write_pids "$service" || echo "$(basename "$0"): cannot write $(pid_file "$service"); see env.pid.dir" >&2
    marks=("${former[@]}")
    unlock_service
    end_processes "$service" "$@" || failed=1
    forget_dead "$service"
    return "$failed"
}

# stop_daemon SERVICE: ends the one started last that is not being stopped; if all are, waits for the last of them.
stop_daemon() {
    local number last=
    lock_service "$1"
    read_pids "$1"
    for ((number = 0; number < ${#pids[@]}; number++)); do
        is_running "$1" "${pids[number]}" || continue
        if [ -z "$last" ] || [ "${marks[number]}" != stopping ] || [ "${marks[last]}" = stopping ]; then
            last=$number
        fi
    done
    if [ -z "$last" ]; then
        none_to_stop "$1"
    else
        stop_some "$1" "$last"
    fi
}

# stop_all_daemons SERVICE: ends all of this distribution, together.
stop_all_daemons() {
    local number running=()
    lock_service "$1"
    read_pids "$1"
    for ((number = 0; number < ${#pids[@]}; number++)); do
        if is_running "$1" "${pids[number]}"; then running+=("$number"); fi
    done
    if [ ${#running[@]} -eq 0 ]; then
        none_to_stop "$1"
    else
        stop_some "$1" "${running[@]}"
    fi
}

none_to_stop() {
    pids=()
    marks=()
    write_pids "$1"
    unlock_service
    echo "No $1 daemon to stop on host $HOSTNAME."
}
