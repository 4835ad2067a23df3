# What must hold on the test machine: the words the checks are written in, and their order.
# Prints a line for each check and a summary.
passed=0 failed=0
export HOME=/root

verdict() { # NAME WANTED GOT
  case "$3" in
    $2) passed=$((passed + 1)); echo "PASS $section: $1" ;;
    *) failed=$((failed + 1)); echo "FAIL $section: $1: wanted [$2] got [$(echo "$3" | tail -n 5 | tr '\n' '~')]" ;;
  esac
}

# The output of a command, now.
check() { # NAME WANTED COMMAND…
  title=$1 wanted=$2; shift 2
  verdict "$title" "$wanted" "$("$@" 2>&1)"
}

# The output of a command, within half a minute.
soon() { # NAME WANTED COMMAND…
  title=$1 wanted=$2; shift 2
  tries=0
  while tries=$((tries + 1)); got=$("$@" 2>&1); [ $tries -lt 150 ]; do
    case "$got" in $wanted) break ;; esac
    usleep 200000
  done
  verdict "$title" "$wanted" "$got"
}

# What a shell in a container says.
inside() { hako run --rm "$@"; }

# The exit code of a command.
code() { "$@" >/dev/null 2>&1; echo $?; }

# One of two names: that of cgroup v2 or that of v1.
either() { if [ "$cgroups" = v2 ]; then echo "$1"; else echo "$2"; fi; }

# A control file as a container with some flags sees it.
limit() { # V2-FILE V1-FILE FLAGS…
  file=/sys/fs/cgroup/$(either "$1" "$2"); shift 2
  hako run --rm --network none "$@" busybox cat "$file"
}

# A control file of a running container as the host sees it.
control() { # CONTAINER V2-FILE V1-CONTROLLER V1-FILE
  pid=$(hako inspect -f '{{.State.Pid}}' "$1")
  if [ "$cgroups" = v2 ]; then
    cat "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/$2"
  else
    cat "/sys/fs/cgroup/$3$(awk -F: -v c="$3" '{n = split($2, a, ","); for (i = 1; i <= n; i++) if (a[i] == c) print $3}' "/proc/$pid/cgroup")/$4"
  fi
}

inspect() { hako inspect -f "{{$2}}" "$1"; }
mounted() { wc -l </proc/mounts; }
processes() { ps -o args | grep -c '^hako\|^{hako' ; }

# A small root file system.
make_box() {
  box=/tmp/box
  mkdir -p $box/bin $box/etc $box/tmp $box/proc $box/sys $box/dev $box/root
  cp /bin/busybox $box/bin/
  chroot $box /bin/busybox --install -s /bin
  echo 'root:x:0:0::/root:/bin/sh' >$box/etc/passwd
  echo 'user:x:1000:1000::/:/bin/sh' >>$box/etc/passwd
}

# The same as an image.
make_image() {
  make_box
  tar -C $box -cf /tmp/box.tar .
  hako import /tmp/box.tar busybox
}

run_sections() {
  for section in "$@"; do . "/checks/$section.sh"; done
  echo "$passed passed, $failed failed ($stage, $cgroups)"
}

echo "NOTE Linux $(uname -r), cgroups $cgroups, stage $stage"
case "$stage" in
  checks) run_sections start limits devices confinement life daemon network beside images rest ;;
  power) run_sections power ;;
  quota) run_sections quota ;;
  systemd) run_sections systemd journal ;;
  clock) run_sections clock ;;
  criu) run_sections criu ;;
esac
