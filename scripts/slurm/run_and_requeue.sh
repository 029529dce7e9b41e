# shellcheck shell=bash
# Functions shared by the batch scripts of this folder. They read it from the folder in which sbatch was called, because
# SLURM runs a copy of the script in another folder.

export OPENBLAS_NUM_THREADS=1       # one rank per core: BLAS threads would compete with the other ranks

readonly interrupted=75             # exit status of a run that has saved a checkpoint after a stop request
readonly wrong_input=2
readonly by_usr1=138                # SIGUSR1 killed a rank while it was loading, or mpirun after all ranks had exited

# Repeated, because a signal is lost while mpirun starts its ranks.
ask_to_stop() {
    while kill -USR1 "$1" 2>/dev/null; do sleep 1; done
}

is_running() {                      # neither cancelled nor at its time limit
    [[ $(scontrol --oneliner show job "$1") == *" JobState=RUNNING "* ]]
}

# After a failure: mpirun exits when it loses a node, often long before SLURM notices.
has_lost_a_node() {
    local nodes=${SLURM_JOB_NUM_NODES:-1}
    ((nodes > 1)) && command -v srun >/dev/null &&
        ! timeout --kill-after=10 30 srun --mpi=none --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 true 2>/dev/null
}

# run_and_requeue LAUNCHER... PROGRAM ARGUMENT...
#
# Runs the command and exits with its status. SIGUSR1 and SIGTERM to this shell are forwarded as SIGUSR1 to the command.
# mpirun and srun forward it to all ranks, which save a checkpoint and exit with 75. The job is then requeued. It is also
# requeued after a failure if a node of the job does not answer. It is not requeued if it was cancelled, or after
# PRUNTRAIN_MAX_RESTARTS restarts.
run_and_requeue() {
    local command status job why=interrupted restarts=${SLURM_RESTART_COUNT:-0} most=${PRUNTRAIN_MAX_RESTARTS:-3}
    job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
    job=${job:-$SLURM_JOB_ID}
    # In the background, because bash runs a trap only between commands, and a signal interrupts `wait`. In a separate
    # session, because mpirun kills its ranks within seconds if a signal to the whole job also reaches it.
    setsid "$@" &
    command=$!
    trap 'ask_to_stop "$command" &' USR1 TERM
    while true; do
        wait "$command"
        status=$?
        kill -0 "$command" 2>/dev/null || break     # otherwise a signal interrupted `wait`
    done
    trap '' USR1 TERM       # `scontrol requeue` sends it
    ((status != by_usr1)) || status=$interrupted    # resume from the newest checkpoint
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
