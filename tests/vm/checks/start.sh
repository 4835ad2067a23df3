# The first commands on a new machine.
mounts_before=$(mounted)
links_before=$(ip -o link | wc -l)
check 'disk' '*/var/lib ext4*' grep /dev/vda /proc/mounts
check 'version' '*Server*' hako version
check 'hello' '*What to try next*' hako run --rm hello
check 'import' 'sha256:*' make_image
check 'cgroup version' "$(either 2 1)" hako info -f '{{.CgroupVersion}}'
check 'cgroup driver' cgroupfs hako info -f '{{.CgroupDriver}}'
check 'no warnings about limits' '' sh -c 'hako info 2>&1 | grep -i "^WARNING.*\(memory\|swap\|pids\|cpu\)"'
check 'run' hi inside busybox echo hi
check 'exit code' 3 code hako run --rm busybox sh -c 'exit 3'
check 'missing program' 127 code hako run --rm busybox nothing
check 'not a program' 126 code hako run --rm busybox /etc
check 'terminal' /dev/pts/0 sh -c 'hako run --rm -t busybox tty | tr -d "\r"'
