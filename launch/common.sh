# shellcheck shell=bash
# Functions that the scripts of this folder share. To be sourced, not run.

set -euo pipefail

# The folder above launch: the repository, or the installation in a container image.
home=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
script=${0##*/}

say() { printf '%s\n' "$*" >&2; }
fail() { fail_with 1 "$@"; }
# The same with an exit status of rfm's: fail_with STATUS MESSAGE
fail_with() {
  say "launch/$script: ${*:2}"
  exit "$1"
}
usage_error() {
  say "launch/$script: $* (see launch/$script --help)"
  exit 64
}

# Prints the comment at the top of the running script, which is its help.
print_help() {
  sed -n '2,/^[^#]/{/^#/!q;s/^# \{0,1\}//;p}' "${BASH_SOURCE[-1]}"
}

# The value of an option: need_value "$@" fails unless another argument follows.
need_value() {
  [[ $# -ge 2 && -n $2 ]] || usage_error "$1 needs a value"
}

# --- The Swift toolchain -----------------------------------------------------------------------

swift_minimum=6.1
# What is fetched where there is none: the release that rfm is tested with.
swift_release=6.3.1
# Where launch/fetch-swift keeps it.
swift_cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rfm

# Puts a toolchain on PATH that is new enough, from there or from a usual place. Without one says why in
# `swift_trouble`, with status 2 where one is installed but does not run.
find_swift() {
  local candidate version status=1
  swift_trouble="Swift is missing"
  for candidate in "$(command -v swift || true)" "${HOME:-/root}/.local/share/swiftly/bin/swift" \
    /opt/swift/usr/bin/swift /usr/local/swift/usr/bin/swift /usr/libexec/swift/*/bin/swift \
    "$swift_cache"/swift-*/usr/bin/swift; do
    [[ -n $candidate && -x $candidate ]] || continue
    version=$("$candidate" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' |
      head -n 1) || true
    if [[ -z $version ]]; then
      swift_trouble="$candidate does not run: $("$candidate" --version 2>&1 | head -n 1)"
      status=2
    elif [[ $(printf '%s\n' "$swift_minimum" "$version" | sort -V | head -n 1) != "$swift_minimum" ]]; then
      swift_trouble="Swift $version ($candidate) is too old, $swift_minimum is needed"
    else
      [[ $candidate == "$(command -v swift || true)" ]] || PATH=${candidate%/*}:$PATH
      return 0
    fi
  done
  return "$status"
}

# The same, and fetches one where there is none, unless RFM_NO_INSTALL forbids that; fails without one.
need_swift() {
  local status=0 folder
  find_swift || status=$?
  ((status)) || return 0
  ((status != 2)) || fail "$swift_trouble (launch/install-dependencies installs the libraries it needs)"
  [[ -z ${RFM_NO_INSTALL:-} ]] ||
    fail "$swift_trouble: launch/fetch-swift fetches it, or see https://www.swift.org/install/linux"
  say "$swift_trouble"
  folder=$("$home/launch/fetch-swift") || exit 1
  PATH=$folder:$PATH
  find_swift || fail "$swift_trouble"
}

# --- Where rfm is ------------------------------------------------------------------------------

# Builds the release product if this is a repository, and sets `rfm` to the program: $RFM if given,
# else the installation's bin/rfm, else the one just built.
build_rfm() {
  if [[ -n ${RFM:-} ]]; then
    rfm=$RFM
  elif [[ -x $home/bin/rfm ]]; then
    rfm=$home/bin/rfm
  else
    need_swift
    swift build --package-path "$home" -c release --product rfm >&2
    rfm=$(swift build --package-path "$home" -c release --show-bin-path)/rfm
  fi
  [[ -x $rfm ]] || fail "$rfm is not a program"
}

# --- MPI ---------------------------------------------------------------------------------------

# What mpirun needs from the environment.
prepare_mpi() {
  command -v mpirun >/dev/null || fail "mpirun is missing: run launch/install-dependencies"
  if [[ $(id -u) -eq 0 ]]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  # Ranks say themselves why they end. (The option --quiet is Open MPI 4's alone; 5 passes over this.)
  export OMPI_MCA_orte_execute_quiet=1
  # A rank's threads are rfm's own; the BLAS below them must not add more.
  export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
}

# --- Running a job -----------------------------------------------------------------------------

# What starts the ranks: mpirun and its options, set by the script.
launcher=()
# The process that was started, while it runs, and whether it was asked to stop.
job='' asked=no
# Whether a job is being started whose process is not known yet.
starting=no
# Whether a trapped signal has come: every handler sets it.
interrupted=no
# What repeats a request to stop, while it runs.
reminder=''

# Asks the ranks to save and stop, through mpirun. It hands the request on to the ranks that it has
# started by then, and forgets it: so it is told again every second until the job ends. Ranks that have
# heard of it don't mind.
ask_to_stop() {
  kill -USR1 "$job" 2>/dev/null || true
  [[ -z $reminder ]] || return 0
  # Waits at a pipe that nobody writes to: unlike sleep it is no process of its own.
  (
    exec {nothing}<> <(:)
    while ! read -rt 1 -u "$nothing" && kill -USR1 "$job" 2>/dev/null; do :; done
  ) &
  reminder=$!
}

# shellcheck disable=SC2317  # called by trap
stop_job() {
  interrupted=yes
  [[ -n $job || $starting == yes ]] || exit 75
  if [[ $asked == no ]]; then
    asked=yes
    say "launch/$script: stopping after this step; once more to stop at once"
    [[ -z $job ]] || ask_to_stop
  else
    [[ -z $job ]] || kill -TERM "$job" 2>/dev/null || true
  fi
}

# Waits for the end of `job`, which runs the command of rfm given, and sets `status` to the job's own. A
# trapped signal ends bash's wait with a status that tells of the signal, and the job may go on or end
# while the signal is handled: so bash is asked again, which knows how a job ended for as long as it is
# asked.
wait_for_job() {
  while :; do
    status=0 interrupted=no
    # Bash itself remarks on a job that was killed; the status says so too.
    wait "$job" 2>/dev/null || status=$?
    [[ $interrupted == yes ]] || break
  done
  if [[ -n $reminder ]]; then
    kill "$reminder" 2>/dev/null || true
    wait "$reminder" 2>/dev/null || true
    # A training that was asked before it could listen has ended before it began: nothing is lost.
    if [[ $status -eq 138 && ($1 == train || $1 == compare) ]]; then status=75; fi
  fi
  job='' reminder=''
}

# Runs `launcher` (mpirun and its options) with rfm and the arguments, once, in a session of its own,
# so that a terminal's interrupt reaches only this script and the ranks can save. Sets `status`.
run_job() {
  local input
  # Not by the name /dev/stdin, which another user may own.
  if [[ -t 0 ]]; then exec {input}</dev/null; else exec {input}<&0; fi
  starting=yes
  # Deaf to requests until it listens itself and once it has done with that: it would die of them.
  (trap '' USR1 && exec setsid "${launcher[@]}" "$rfm" "$@") <&"$input" {input}<&- &
  job=$!
  starting=no
  exec {input}<&-
  [[ $asked == no ]] || ask_to_stop
  wait_for_job "$1"
}

# What has to happen before a restart: a script may define it anew. Given the arguments.
before_restart() { sleep 1; }

# Runs the command; after a failure starts `train` or `compare` anew with --resume, so that it goes on
# from the latest checkpoint: run_with_restarts TIMES COMMAND [ARGUMENT…]. Sets `status`.
run_with_restarts() {
  local restarts=$1 attempt=0
  shift
  local arguments=("$@")
  trap stop_job INT TERM HUP
  # Standard error goes through mpirun's pipe, so rfm can't see the terminal at its other end: it is
  # told how wide that is.
  if [[ -t 2 ]]; then
    local columns
    columns=$(stty size <&2 2>/dev/null | cut -d ' ' -f 2) || true
    export RFM_TERMINAL=${columns:-80}
  fi
  while :; do
    run_job "${arguments[@]}"
    case $status in
      0 | 64 | 65 | 75) break ;;
    esac
    if [[ $1 != train && $1 != compare ]] || [[ $asked == yes ]] || ((attempt >= restarts)); then
      break
    fi
    attempt=$((attempt + 1))
    say "launch/$script: ended with status $status; restart $attempt of $restarts"
    before_restart "$@" || break
    arguments=("$@")
    # shellcheck disable=SC2076
    [[ " $* " =~ " --resume " ]] || arguments+=(--resume)
  done
}

# The quotas of this process's control group and of those above it, as far as they can be seen, one a
# line: microseconds of processor time, and in how many. $1 stands before every path, for tests.
cpu_quotas() {
  local root=${1:-} line group='' group1='' fields top place kind folder quota period
  [[ -r $root/proc/self/cgroup && -r $root/proc/self/mountinfo ]] || return 0
  while IFS= read -r line; do
    case $line in
      0::*) group=${line#0::} ;;
      *:*:*)
        fields=${line#*:}
        [[ ,${fields%%:*}, != *,cpu,* ]] || group1=${fields#*:}
        ;;
    esac
  done <"$root/proc/self/cgroup"
  while read -r _ _ _ top place line; do
    kind=${line#* - }
    case ${kind%% *} in
      cgroup2) folder=$group ;;
      cgroup) [[ ,${kind##* }, == *,cpu,* ]] && folder=$group1 || continue ;;
      *) continue ;;
    esac
    # What is mounted may be a part of the tree.
    if [[ $top != / ]]; then
      if [[ $folder == "$top"/* ]]; then folder=${folder#"$top"}; else folder=''; fi
    fi
    [[ $folder/ != */../* ]] || folder=''
    [[ $folder != / ]] || folder=''
    while :; do
      quota='' period=100000
      if [[ ${kind%% *} == cgroup2 && -r $root$place$folder/cpu.max ]]; then
        read -r quota period <"$root$place$folder/cpu.max" || true
      elif [[ -r $root$place$folder/cpu.cfs_quota_us ]]; then
        read -r quota <"$root$place$folder/cpu.cfs_quota_us" || true
        read -r period <"$root$place$folder/cpu.cfs_period_us" || true
      fi
      if [[ $quota =~ ^[1-9][0-9]*$ && ${period:=100000} =~ ^[1-9][0-9]*$ ]]; then
        printf '%s %s\n' "$quota" "$period"
      fi
      [[ -n $folder ]] || break
      folder=${folder%/*}
    done
  done <"$root/proc/self/mountinfo"
}

# The cores this process may use: its affinity, cut by the control groups' quotas (a part of a core is
# one), counting hardware threads of one core once.
core_count() {
  local allowed physical quota period limit
  allowed=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # it heeds what is set above
  if command -v lscpu >/dev/null; then
    physical=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -vc '^#' || true)
    if [[ $physical -gt 0 ]]; then
      local distinct
      distinct=$(lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l)
      # Affinity may leave fewer; hardware threads of the ones left are shared alike.
      allowed=$(((allowed * distinct + physical - 1) / physical))
    fi
  fi
  while read -r quota period; do
    limit=$(((quota + period - 1) / period))
    ((limit >= allowed)) || allowed=$limit
  done < <(cpu_quotas)
  ((allowed > 0)) || allowed=1
  printf '%s\n' "$allowed"
}

# The memory domains of this machine.
node_count() {
  local count=1
  if command -v lscpu >/dev/null; then
    count=$(lscpu -p=NODE 2>/dev/null | grep -v '^#' | sort -u | wc -l)
  fi
  ((count > 0)) || count=1
  printf '%s\n' "$count"
}
