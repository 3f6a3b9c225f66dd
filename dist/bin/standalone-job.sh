#!/usr/bin/env bash
# Starts and stops the JobManager of one job, which is an executable in lib/.

# shellcheck source=dist/bin/config.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/config.sh"

usage() {
    cat <<USAGE
Usage: standalone-job.sh start|start-foreground [-j JOB] [option]... [job argument]...
       standalone-job.sh stop|stop-all

  start             starts the JobManager of a job, in the background
  start-foreground  the same, in the foreground, with its log on the terminal
  stop              ends it after a checkpoint; the next start resumes the job from there
  stop-all          the same, for all of this distribution on this machine

  -j, --job-classname JOB      the job: the name of an executable in lib/; not needed if there is just one
  -Dkey=value                  sets an option, see docs/configuration.md
  -s, --fromSavepoint PATH     starts the job from a savepoint
  -n, --allowNonRestoredState  drops state of the savepoint that belongs to no operator of the job
      --fresh                  begins anew instead of resuming
      --allow-other-build      resumes from checkpoints of another build that an earlier release wrote without
                               the types of the state; these must be the same
      --allow-replay           if the newest checkpoint is damaged, goes on from an older one although some
                               output is written again

What is none of these goes to the job, as does everything after --.
Logs are in $REFLOW_LOG_DIR, the configuration in $REFLOW_CONF_DIR.
USAGE
}

service=standalonejob
job=
options=()
job_arguments=()

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            -D | -j | --job-classname | -s | --fromSavepoint)
                [ $# -gt 1 ] || fail "$1 needs a value; see standalone-job.sh --help" ;;
        esac
        case $1 in
            -D) options+=("-D$2"); shift ;;
            -D*) options+=("$1") ;;
            -j | --job-classname) job=$2; shift ;;
            -s | --fromSavepoint) options+=(--fromSavepoint "$2"); shift ;;
            -n | --allowNonRestoredState) options+=("-Dexecution.state-recovery.ignore-unclaimed-state=true") ;;
            --fresh | --allow-other-build | --allow-replay) options+=("$1") ;;
            -h | --help) usage; exit 0 ;;
            --) shift; job_arguments=(-- ${job_arguments[@]+"${job_arguments[@]}"} "$@"); return ;;
            *) job_arguments+=("$1") ;;
        esac
        shift
    done
}

# What is in lib/, for error texts.
jobs_there() {
    local names
    names=$(find "$REFLOW_LIB_DIR/" -maxdepth 1 ! -type d 2>/dev/null | sed 's,.*/,,' | sort | paste -sd ' ' -)
    echo "${names:-nothing}"
}

# The one job in lib/, if nobody said which.
only_job() {
    local path found=()
    for path in "$REFLOW_LIB_DIR"/*; do
        if [ -f "$path" ] && [ -x "$path" ]; then found+=("$path"); fi
    done
    [ ${#found[@]} -eq 1 ] || fail "no job is named; use -j JOB, $REFLOW_LIB_DIR contains: $(jobs_there)"
    job=$(basename "${found[0]}")
}

check_job() {
    case $job in */*) fail "-j takes the name of an executable in $REFLOW_LIB_DIR, not a path: $job" ;; esac
    local path=$REFLOW_LIB_DIR/$job answer
    [ -f "$path" ] ||
        fail "no job '$job' in $REFLOW_LIB_DIR, which contains: $(jobs_there); copy the job's executable there"
    [ -x "$path" ] || fail "$path is not executable; chmod +x it"
    answer=$("$path" --describe </dev/null 2>/dev/null) && [[ $answer == '{"reflow":'* ]] ||
        fail "$path is not a Reflow job: it does not answer --describe; its main must be reflow::main!"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    start | start-foreground)
        read_arguments "$@"
        [ -n "$job" ] || only_job
        check_job
        set -- "$REFLOW_LIB_DIR/$job" jobmanager --config-dir "$REFLOW_CONF_DIR" \
            ${options[@]+"${options[@]}"} ${job_arguments[@]+"${job_arguments[@]}"}
        if [ "$command" = start ]; then start_daemon "$service" "$@"; else exec "$@"; fi
        ;;
    stop) read_arguments "$@"; stop_daemon "$service" ;;
    stop-all) read_arguments "$@"; stop_all_daemons "$service" ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
esac
