# shellcheck shell=bash
# What the batch scripts of this folder share. They read it from the folder in which sbatch was called, since SLURM runs a
# copy of the script that stands elsewhere.

export OPENBLAS_NUM_THREADS=1       # one rank a core: threads of BLAS would compete with the other ranks

readonly interrupted=75             # exit status of a run that has saved a checkpoint because it was asked to stop
readonly wrong_input=2
readonly by_usr1=138                # SIGUSR1 has killed a rank that was being loaded, or mpirun when all ranks had ended

# Again and again, because what comes while mpirun starts its ranks is lost.
ask_to_stop() {
    while kill -USR1 "$1" 2>/dev/null; do sleep 1; done
}

is_running() {                      # not: cancelled, or at its time limit
    [[ $(scontrol --oneliner show job "$1") == *" JobState=RUNNING "* ]]
}

# After a fault: mpirun ends when it loses a node, often long before SLURM notices.
has_lost_a_node() {
    local nodes=${SLURM_JOB_NUM_NODES:-1}
    ((nodes > 1)) && command -v srun >/dev/null &&
        ! timeout --kill-after=10 30 srun --mpi=none --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 true 2>/dev/null
}

# run_and_requeue LAUNCHER... PROGRAM ARGUMENT...
#
# Runs the command and ends with its exit status. SIGUSR1 and SIGTERM to this shell become SIGUSR1 to the command, which
# mpirun and srun give to all ranks: they save a checkpoint and end with 75. Then, and after a fault when a node of the job
# no longer answers, the job is queued again, unless it was cancelled or has been started PRUNTRAIN_MAX_RESTARTS times more
# than once already.
run_and_requeue() {
    local command status job why=interrupted restarts=${SLURM_RESTART_COUNT:-0} most=${PRUNTRAIN_MAX_RESTARTS:-3}
    job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
    job=${job:-$SLURM_JOB_ID}
    # In the background, because bash runs a trap only between commands, and `wait` ends at a signal. In a session of its
    # own, because mpirun ends its ranks within seconds if a signal to the whole job reaches it as well.
    setsid "$@" &
    command=$!
    trap 'ask_to_stop "$command" &' USR1 TERM
    while true; do
        wait "$command"
        status=$?
        kill -0 "$command" 2>/dev/null || break     # else a signal ended the wait, not the command
    done
    trap '' USR1 TERM       # `scontrol requeue` sends it
    ((status != by_usr1)) || status=$interrupted    # the newest checkpoint is what there is to go on from
    if ((status == 0 || status == wrong_input)); then
        exit "$status"
    elif ((status != interrupted)); then
        has_lost_a_node || exit "$status"
        why="has lost a node"
    fi
    if ((restarts >= most)); then
        echo "job $job: $why after $restarts restarts, PRUNTRAIN_MAX_RESTARTS is $most: not queued again"
    elif ! command -v scontrol >/dev/null; then
        echo "job $job: $why, and there is no scontrol here to queue it again: see scripts/slurm/chain.sh"
    elif ! is_running "$job"; then
        echo "job $job: $why, and SLURM has ended the job: not queued again from here"
    elif scontrol requeue "$job"; then
        echo "job $job: $why, queued again (restart $((restarts + 1)) of at most $most)"
    fi
    exit "$status"
}
