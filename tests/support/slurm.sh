#!/bin/bash
# A SLURM for tests on this machine only: munged + slurmctld + slurmd, without systemd,
# cgroups or a database.  Config, key, state, spool and logs live in DIR.
#
#   slurm.sh start DIR   # as root; prints: export SLURM_CONF=DIR/slurm.conf
#   slurm.sh stop DIR    # ends all jobs, then the daemons it started, by pid
#
# With more than one node each has a slurmd with a host name of its own (a UTS namespace),
# so that mpirun, srun and MPI take them for different machines; they share all else.
#
# Environment of `start`, all optional:
#   SLURM_TEST_NODES      how many nodes                     (default: 1)
#   SLURM_TEST_CPUS       CPUs that each node claims to have (default: nproc)
#   SLURM_TEST_KILL_WAIT  seconds from SIGTERM to SIGKILL    (default: 30, as SLURM's own)
#   SLURM_TEST_EXTRA      more slurm.conf lines; they win over the ones below
# If users other than root are to submit jobs, DIR must be open to them (mode 755).
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
die() { echo "slurm.sh: $*" >&2; exit 1; }

wait_for() {                                # wait_for SECONDS COMMAND...
    local end=$((SECONDS + $1)); shift
    until "$@" &>/dev/null; do ((SECONDS < end)) || return 1; sleep 0.2; done
}

# Prints the pid that `start` recorded for daemon $1 if that process still runs.  Its
# command line must name DIR, so that a pid used again by others is never signalled.
live_pid() {
    local pid
    pid=$(cat "$DIR/$1.pid" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$DIR/" && echo "$pid"
}

launch() {                                  # launch NAME COMMAND...: in a session of its own
    local name=$1; shift
    setsid "$@" </dev/null &>"$DIR/$name.out" &
    echo $! >"$DIR/$name.pid"
}

daemons() {                                 # those that `start` has recorded, in the order of stopping
    (cd "$DIR" 2>/dev/null && ls -d slurmd_*.pid slurmctld.pid munged.pid 2>/dev/null | sed 's/\.pid$//')
}

listens() { (: <"/dev/tcp/$addr/$1") 2>/dev/null; }

free_port() {                               # a TCP port from $1 on that nobody listens on
    local p=$(($1 + RANDOM % 5000))
    while listens $p; do ((++p)); done
    echo $p
}

munge_works() { munge --no-input --socket="$DIR/munge.socket"; }
are_idle() { [[ $(sinfo -h -o %T,%D) == "idle,$1" ]]; }
no_jobs() { [[ -z $(squeue -h) ]]; }
is_gone() { ! live_pid "$1"; }

start() {
    local p k missing="" host addr any="NoInAddrAny," nodes=${SLURM_TEST_NODES:-1} names lines="" port
    for p in munged:munge slurmctld:slurmctld slurmd:slurmd sinfo:slurm-client; do
        command -v "${p%:*}" >/dev/null || missing+=" ${p#*:}"
    done
    [[ -z $missing ]] || die "programs missing; Debian: apt-get install --no-install-recommends$missing"
    ((EUID == 0)) || die "must run as root"
    for p in $(daemons); do ! live_pid "$p" >/dev/null || die "$p already runs in $DIR"; done

    # NoInAddrAny makes SLURM bind the host name's address.  127.0.1.1 would not do: srun hangs.
    # The names of several nodes have none, so each slurmd listens on all; munge keeps strangers out.
    host=$(hostname -s)
    addr=$(getent ahostsv4 "$host" | awk 'NR == 1 {print $1}') || true
    [[ $addr == 127.0.0.1 ]] || die "name $host is '$addr': put '127.0.0.1 $host' first in /etc/hosts"

    names=("$host")
    if ((nodes > 1)); then
        unshare --uts true 2>/dev/null || die "may not give nodes host names of their own (unshare --uts)"
        any="" names=()
        for ((k = 1; k <= nodes; ++k)); do names+=("$host$k"); done
    fi
    mkdir -p "$DIR"/{state,run}
    port=$(free_port 25000)
    for p in "${names[@]}"; do
        mkdir -p "$DIR"/{spool,tmp}_"$p"
        lines+="NodeName=$p NodeHostname=$p NodeAddr=$addr Port=$port CPUs=${SLURM_TEST_CPUS:-$(nproc)}"
        lines+=" RealMemory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"$'\n'
        while listens $((++port)); do :; done
    done
    (umask 077; head -c 64 /dev/urandom >"$DIR/munge.key")
    cat >"$DIR/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host($addr)
SlurmctldPort=$(free_port 20000)
CommunicationParameters=${any}NoCtldInAddrAny
SlurmUser=root
AuthInfo=socket=$DIR/munge.socket
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool_%n
TmpFS=$DIR/tmp_%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd_%n.pid
SlurmdLogFile=$DIR/slurmd_%n.log
JobCompType=jobcomp/filetxt
JobCompLoc=$DIR/jobcomp.log
ProctrackType=proctrack/pgid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
EnforcePartLimits=ALL
ReturnToService=2
MailProg=/bin/true
KillWait=${SLURM_TEST_KILL_WAIT:-30}
SlurmdParameters=config_overrides
${lines}PartitionName=test Nodes=ALL Default=YES OverSubscribe=YES
${SLURM_TEST_EXTRA:-}
END
    # --force: a DIR that munged deems too open or too closed is only a warning
    launch munged munged --foreground --force --key-file="$DIR/munge.key" --socket="$DIR/munge.socket" \
        --pid-file="$DIR/run/munged.pid" --seed-file="$DIR/munge.seed"
    wait_for 10 munge_works || { stop; die "munged did not start, see $DIR/munged.out"; }
    launch slurmctld slurmctld -D -f "$SLURM_CONF"
    if ((nodes == 1)); then
        launch "slurmd_$host" slurmd -D -f "$SLURM_CONF" -N "$host"
    else
        for p in "${names[@]}"; do
            launch "slurmd_$p" unshare --uts sh -c 'hostname "$1"; exec slurmd -D -f "$2" -N "$1"' sh "$p" "$SLURM_CONF"
        done
    fi
    wait_for 30 are_idle "$nodes" || { stop; die "the nodes did not become idle, see the logs in $DIR"; }
    echo "export SLURM_CONF=$SLURM_CONF"
}

stop() {
    local p pid
    if live_pid slurmctld >/dev/null; then  # jobs outlive slurmd; a plain scancel gives them KillWait
        squeue -h -s -o %i | grep -v batch | xargs -r scancel --signal=KILL || true
        scancel --full --signal=KILL --state=RUNNING --user=root || true
        scancel --user=root || true
        wait_for 60 no_jobs || echo "slurm.sh: jobs left after 60 s" >&2
    fi
    for p in $(daemons); do
        pid=$(live_pid "$p") && kill "$pid" && { wait_for 10 is_gone "$p" || kill -9 "$pid"; }
        rm -f "$DIR/$p.pid"
    done
}

[[ $# == 2 && $1 =~ ^(start|stop)$ ]] || die "usage: slurm.sh start|stop DIR"
DIR=$(realpath -m -- "$2")
[[ $DIR =~ ^/[-A-Za-z0-9_./+]{1,80}$ ]] || die "DIR must be a short path without blanks: $DIR"
export SLURM_CONF=$DIR/slurm.conf
"$1"
