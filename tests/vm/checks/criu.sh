# Checkpoints, by CRIU.
make_image >/dev/null
rm /bin/tar
mv /usr/tar /bin/tar
check "criu knows this kernel" "*Looks good." criu check

count='i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'
hako run -d --name job --memory 64m --pids-limit 20 -v /tmp:/data:ro busybox sh -c "$count" >/dev/null
counts() { [ "$(hako logs job | wc -l)" -gt "$1" ] && echo more; }
soon "it counts" more counts 3
check "it is saved and goes on" early hako checkpoint create --leave-running job early
[ $failed = 0 ] || sed "s/^/NOTE /" /var/lib/hako/containers/*/criu/dump.log | tail -n 20
check "it is saved" late hako checkpoint create job late
check "its processes are gone" exited inspect job .State.Status
saved=$(hako logs job | wc -l)
check "it is started from there" job hako start --checkpoint late job
soon "it goes on counting" more counts $((saved + 3))
check "each number is told once" "" sh -c 'hako logs job | awk "\$1 != NR"'
check "it can be executed in" "/" hako exec job pwd
check "it has its limit" 67108864 control job memory.max memory memory.limit_in_bytes
check "and that of processes" 20 control job pids.max pids pids.max
view() { hako exec job cat /proc/self/cgroup | sed -n "s/^$(either 0:: '[0-9]*:memory:')//p"; }
check "it sees its control group as the root" / view
seen() { hako exec job cat "/sys/fs/cgroup/$(either memory.max memory/memory.limit_in_bytes)"; }
check "and its limit there" 67108864 seen
check "what was read-only still is" "*Read-only*" hako exec job touch /data/x
check "its processes are filtered" "Seccomp:?2" sh -c 'hako exec job grep Seccomp: /proc/1/status'
check "it is frozen" job hako pause job
check "and thawed" job hako unpause job
check "its processes are counted" "*sleep*" hako top job
check "it is removed" job hako rm -f job
