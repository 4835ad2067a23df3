# Runs the engines of a root file system with hako as their OCI runtime, in namespaces of its own; prints a line for
# everything that went as it should, and what was said for everything that did not.
# Arguments: the root, hako, an archive of a root file system with busybox.
set -u
root=$1 hako=$2 archive=$3
mount --make-rprivate /
mount --rbind "$root" "$root"
for place in dev sys; do mkdir -p "$root/$place"; mountpoint -q "$root/$place" && continue; mount --rbind "/$place" "$root/$place"; done
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/run/bin"
cp "$hako" "$root/run/bin/hako-runtime"
cp "$archive" "$root/run/busybox.tar"
mkdir -p "$root/run/old"
cd "$root"
pivot_root . run/old
mount -t proc proc /proc
umount -l /run/old
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home
mkdir -p $HOME
ip link set lo up 2>/dev/null

expect() { # NAME WANTED COMMAND…
  name=$1 wanted=$2; shift 2
  got=$(timeout 60 "$@" 2>&1 </dev/null | tr -d '\r')
  case "$got" in $wanted) echo "ok $name" ;; *) echo "BAD $name: wanted [$wanted], got [$got]" ;; esac
}
until_works() { tries=0; until "$@" >/dev/null 2>&1; do tries=$((tries + 1)); [ $tries -lt 300 ] || return 1; sleep 0.1; done; }
memory_limit='cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'

engine() { # NAME COMMAND…: what every engine with docker's words is asked
  who=$1; shift
  expect "$who run" fine "$@" run --rm --network none busybox echo fine
  expect "$who exit code" 7 sh -c "$* run --rm --network none busybox sh -c 'exit 7'; echo \$?"
  expect "$who terminal" '/dev/pts/0' "$@" run --rm -t --network none busybox tty
  expect "$who memory" 67108864 "$@" run --rm -m 64m --network none busybox sh -c "$memory_limit"
  "$@" run -d --name box --network none busybox sleep 600 >/dev/null 2>&1
  expect "$who exec" in "$@" exec box echo in
  expect "$who exec code" 9 sh -c "$* exec box sh -c 'exit 9'; echo \$?"
  "$@" pause box >/dev/null 2>&1
  expect "$who paused" paused "$@" inspect -f '{{.State.Status}}' box
  "$@" unpause box >/dev/null 2>&1
  expect "$who update" '*' "$@" update -m 128m --memory-swap 128m box
  expect "$who updated" 134217728 "$@" exec box sh -c "$memory_limit"
  "$@" kill box >/dev/null 2>&1
  expect "$who killed" 137 "$@" wait box
  expect "$who rm" box "$@" rm box
  expect "$who missing program" '*executable file not found*' "$@" run --rm --network none busybox missing
}

if command -v dockerd >/dev/null; then
  dockerd --data-root /run/docker-data --exec-root /run/docker-exec --pidfile /run/docker.pid -H unix:///run/docker.sock \
    --bridge none --iptables=false --ip6tables=false --add-runtime hako=/run/bin/hako-runtime --default-runtime hako >/run/dockerd.log 2>&1 &
  export DOCKER_HOST=unix:///run/docker.sock
  until_works docker version || tail -n 20 /run/dockerd.log
  docker import /run/busybox.tar busybox >/dev/null
  engine docker docker
  docker save -o /run/image.tar busybox
fi
if command -v podman >/dev/null; then
  podman="podman --root /run/podman-root --runroot /run/podman-run --cgroup-manager cgroupfs --runtime /run/bin/hako-runtime --log-level error"
  $podman import -q /run/busybox.tar busybox >/dev/null 2>/run/podman.log || cat /run/podman.log
  engine podman $podman
fi
if command -v containerd >/dev/null && command -v ctr >/dev/null && [ -e /run/image.tar ]; then
  containerd -a /run/c.sock --root /run/c-root --state /run/c-state >/run/containerd.log 2>&1 &
  until_works ctr -a /run/c.sock version || tail -n 20 /run/containerd.log
  ctr -a /run/c.sock images import /run/image.tar >/dev/null 2>&1
  expect "ctr run" fine ctr -a /run/c.sock run --rm --runc-binary /run/bin/hako-runtime docker.io/library/busybox:latest one echo fine
  ctr -a /run/c.sock run -d --runc-binary /run/bin/hako-runtime docker.io/library/busybox:latest two sleep 600 >/dev/null 2>&1
  expect "ctr exec" in ctr -a /run/c.sock task exec --exec-id e two echo in
  expect "ctr pause" '' ctr -a /run/c.sock task pause two
  expect "ctr paused" '*PAUSED*' ctr -a /run/c.sock task ls
  expect "ctr resume" '' ctr -a /run/c.sock task resume two
  expect "ctr kill" '' ctr -a /run/c.sock task kill -s KILL two
  expect "ctr rm" '*' ctr -a /run/c.sock task rm two
fi
# The engines end with this process, which is the first of its process namespace.
echo over
