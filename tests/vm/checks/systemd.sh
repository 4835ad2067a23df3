# Control groups made by systemd, for `hako runtime --systemd-cgroup`.
bundle=/tmp/bundle
mkdir -p $bundle
make_box
ln -s $box $bundle/rootfs

# The description of a container with limits in a scope.
describe() { # CGROUPSPATH PROGRAM…
  path=$1 arguments="\"$2\""; shift 2
  for word in "$@"; do arguments="$arguments,\"$word\""; done
  cat >$bundle/config.json <<JSON
{"ociVersion":"1.2.0","root":{"path":"rootfs"},"annotations":{"org.systemd.property.TimeoutStopSec":"7"},
"process":{"user":{"uid":0,"gid":0},"cwd":"/","env":["PATH=/bin"],"args":[$arguments],
 "capabilities":{"bounding":["CAP_MKNOD"],"effective":["CAP_MKNOD"],"permitted":["CAP_MKNOD"]}},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"}],
"linux":{"cgroupsPath":"$path","namespaces":[{"type":"mount"},{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"network"},{"type":"cgroup"}],
 "resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","access":"m"},
   {"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":true,"type":"c","major":5,"access":"rw"}],
  "memory":{"limit":67108864},"pids":{"limit":33},"cpu":{"shares":1024,"quota":25000,"period":100000}}}}
JSON
}

oci() { hako runtime --root /run/oci --systemd-cgroup "$@"; }
box_pid() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' /run/oci/box/state.json; }
unit() { systemctl show -p "$1" --value hako-box.scope; }
# A control file of the container as the host sees it.
file() { # V2-FILE V1-CONTROLLER V1-FILE
  scope=/hk.slice/hk-test.slice/hako-box.scope
  if [ "$cgroups" = v2 ]; then cat "/sys/fs/cgroup$scope/$1"; else cat "/sys/fs/cgroup/$2$scope/$3"; fi
}
device() { oci exec box sh -c "rm -f /tmp/d$1; mknod /tmp/d$1 c $1 $2; echo >/tmp/d$1" 2>&1; }

rounds() { # HOW
  describe hk-test.slice:hako:box sleep 600
  oci run -d -b $bundle box >/tmp/said 2>&1
  check "$1: run" "" cat /tmp/said
  check "$1: active" active systemctl is-active hako-box.scope
  check "$1: slice" hk-test.slice unit Slice
  check "$1: delegated" yes unit Delegate
  check "$1: described" 'hako container box' unit Description
  check "$1: an annotation" 7s unit TimeoutStopUSec
  check "$1: the process is in it" '*/hk.slice/hk-test.slice/hako-box.scope*' cat "/proc/$(box_pid)/cgroup"
  limits "$1" 33
  check "$1: update" '' oci update --pids-limit 44 box
  limits "$1, updated" 44
  check "$1: systemd reads its configuration" '' systemctl daemon-reload
  limits "$1, reloaded" 44
  check "$1: a device that is allowed" '' device 1 3
  check "$1: a device that is not" '*Operation not permitted*' device 10 200
  check "$1: exec" hi oci exec box echo hi
  check "$1: pause" '' oci pause box
  check "$1: paused" '*"status": "paused"*' oci state box
  check "$1: resume" '' oci resume box
  check "$1: deleted" '' oci delete -f box
  check "$1: forgotten" inactive systemctl is-active hako-box.scope
  check "$1: its group" '' find /sys/fs/cgroup -name hako-box.scope
  describe '' sh -c 'cat /proc/self/cgroup; exit 3'
  check "$1: at once again" 3 code oci run -b $bundle box
  describe '' nothing
  for round in 1 2; do check "$1: a program that is missing ($round)" '*nothing*' oci run -b $bundle box </dev/null; done
  check "$1: nothing of it" '' sh -c 'systemctl list-units --all --plain --no-legend "hako-*"'
}

limits() { # HOW PIDS
  check "$1: processes" "$2 $2" echo "$(unit TasksMax)" "$(file pids.max pids pids.max)"
  check "$1: memory" "67108864 67108864" echo "$(unit "$(either MemoryMax MemoryLimit)")" "$(file memory.max memory memory.limit_in_bytes)"
  check "$1: time" "250ms $(either '25000 100000' 25000)" echo "$(unit CPUQuotaPerSecUSec)" "$(file cpu.max cpu cpu.cfs_quota_us)"
  check "$1: weight" "$(either '100 100' '1024 1024')" echo "$(unit "$(either CPUWeight CPUShares)")" "$(file cpu.weight cpu cpu.shares)"
}

check 'systemd' '*ing' systemctl is-system-running
describe /no/colons sleep 600
check 'a path of another form' '*SLICE:PREFIX:NAME*' oci run -b $bundle box </dev/null
check 'nothing of it' '' oci list -q
check 'no bus runs' 1 code test -e /run/dbus/system_bus_socket
rounds 'its own socket'
check 'start a bus' '' systemctl start dbus.service
rounds 'a bus'
