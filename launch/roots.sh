# shellcheck shell=bash
# Functions of the scripts that make a Debian system in a folder. To be sourced after common.sh.

# Makes a release of Debian in a folder, with nothing but its basic packages, from the mirror in
# RFM_MIRROR: make_root SUITE FOLDER. Needs root and debootstrap.
make_root() {
  local suite=$1 folder=$2 mirror=${RFM_MIRROR:-http://deb.debian.org/debian} log
  [[ $(id -u) -eq 0 ]] || fail "making a Debian system needs root"
  command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
  log=$(mktemp)
  say "making Debian $suite in $folder from $mirror"
  debootstrap --variant=minbase "$suite" "$folder" "$mirror" >"$log" 2>&1 ||
    fail "debootstrap failed: $(tail -n 1 "$log") (see $log)"
  rm -f -- "$log"
  echo "deb $mirror-security $suite-security main" >>"$folder/etc/apt/sources.list"
  rm -rf "$folder"/var/lib/apt/lists/* "$folder"/var/cache/apt/*
}

# Sets `swift_folder` to where this machine's toolchain lies; nothing if there is none.
find_toolchain() {
  local program
  swift_folder=''
  find_swift || return 0
  program=$(readlink -f "$(command -v swift)")
  swift_folder=${program%/usr/bin/*}
}

# Where git finds repositories in folders of this machine instead (url.FOLDER.insteadOf), the packages
# that rfm depends on come from there in the other system too: writes git's settings for that into a
# file, and sets `git_folders` to the folders that it has to have.
redirect_git() {
  local file=$1 key value folder
  git_folders=()
  : >"$file"
  while read -r key value; do
    folder=${key#url.}
    folder=${folder%.insteadof}
    [[ -d $folder ]] || continue
    git config --file "$file" --add "url.$folder.insteadOf" "$value"
    # shellcheck disable=SC2076
    [[ " ${git_folders[*]} " =~ " $folder " ]] || git_folders+=("$folder")
  done < <(git config --get-regexp '^url\..*\.insteadof$' || true)
  if ((${#git_folders[@]})); then git config --file "$file" --add safe.directory '*'; fi
}

# Gives a system in a folder this machine's settings for fetching packages: names of hosts, certificates,
# apt's, pip's and git's. Sets `git_folders`.
adopt_settings() {
  local root=$1 file
  mkdir -p "$root/usr/local/share/ca-certificates"
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
    if [[ -e $file ]]; then cp -L -- "$file" "$root$file"; fi
  done
  cp -RL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::|Check-)' \
    >"$root/etc/apt/apt.conf.d/90rfm-machine" || true
  # As in a container: packages start no services.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  redirect_git "$root/etc/gitconfig"
}

root_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Runs a command in a system that lies in a folder: run_in_root FOLDER COMMAND [ARGUMENT…], where `chroot`
# may have options before the command. It has namespaces of its own, whose first process collects what is
# left; all its processes end with it. Of this machine it sees devices, /sys, and what `swift_folder` and
# `git_folders` name.
run_in_root() {
  local root=$1 inside
  shift
  # shellcheck disable=SC2016  # expanded by the inner shell
  inside='
    set -e
    root=$1 swift=$2
    shift 2
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    if [ -n "$swift" ]; then
      mkdir -p "$root/opt/swift"
      mount --bind -o ro "$swift" "$root/opt/swift"
    fi
    while [ "$1" != -- ]; do
      mkdir -p "$root/$1"
      mount --bind -o ro "$1" "$root/$1"
      shift
    done
    shift
    # In the background: a shell that waits collects its descendants too.
    chroot "$@" &
    wait $!
  '
  local options=()
  while [[ $1 == --* ]]; do
    options+=("$1")
    shift
  done
  local status=0 job
  unshare --mount --pid --fork --kill-child bash -c "$inside" bash "$root" "$swift_folder" \
    "${git_folders[@]}" -- "${options[@]}" "$root" "$@" &
  job=$!
  # unshare itself heeds no request to end, and takes all with it when it is killed.
  trap 'kill -KILL "$job" 2>/dev/null; exit 130' INT TERM HUP
  wait "$job" || status=$?
  trap - INT TERM HUP
  return "$status"
}
