# Limits: the values the kernel holds, and what they do.
check 'memory' 67108864 limit memory.max memory/memory.limit_in_bytes -m 64m
check 'reservation' 33554432 limit memory.low memory/memory.soft_limit_in_bytes -m 64m --memory-reservation 32m
check 'swap by default as much as memory' "$(either 67108864 134217728)" limit memory.swap.max memory/memory.memsw.limit_in_bytes -m 64m
check 'swap' "$(either 33554432 100663296)" limit memory.swap.max memory/memory.memsw.limit_in_bytes -m 64m --memory-swap 96m
check 'no swap' "$(either 0 67108864)" limit memory.swap.max memory/memory.memsw.limit_in_bytes -m 64m --memory-swap 64m
check 'endless swap' "$(either max 9223372036854771712)" limit memory.swap.max memory/memory.memsw.limit_in_bytes -m 64m --memory-swap -1
check 'pids' 55 limit pids.max pids/pids.max --pids-limit 55
check 'cpus' "$(either '50000 100000' 50000)" limit cpu.max cpu/cpu.cfs_quota_us --cpus 0.5
check 'quota and period' "$(either '20000 40000' 40000)" limit cpu.max cpu/cpu.cfs_period_us --cpu-quota 20000 --cpu-period 40000
check 'shares' "$(either 59 512)" limit cpu.weight cpu/cpu.shares -c 512
check 'cpuset' 1 limit cpuset.cpus cpuset/cpuset.cpus --cpuset-cpus 1
check 'memory nodes' 0 limit cpuset.mems cpuset/cpuset.mems --cpuset-mems 0
check 'cpuset in force' '*Cpus_allowed_list:?0' inside --cpuset-cpus 0 busybox grep Cpus_allowed_list /proc/self/status
check 'no such cpu' '*Requested CPUs are not available*' inside --cpuset-cpus 7 busybox true
check 'write speed' "$(either '254:0 rbps=max wbps=1048576 riops=max wiops=max' '254:0 1048576')" \
  limit io.max blkio/blkio.throttle.write_bps_device --device-write-bps /dev/vda:1mb
check 'read operations' "$(either '254:0 rbps=max wbps=max riops=90 wiops=max' '254:0 90')" \
  limit io.max blkio/blkio.throttle.read_iops_device --device-read-iops /dev/vda:90
[ "$cgroups" = v2 ] && check 'block weight' 'default 2930' limit io.weight - --blkio-weight 300
check 'read-only for the container' '*Read-only*' inside busybox sh -c "echo 1 > /sys/fs/cgroup/$(either pids.max pids/pids.max)"
check 'writable for the privileged' 44 inside --privileged busybox sh -c "cd /sys/fs/cgroup/$(either . pids); echo 44 > pids.max && cat pids.max"

hog='x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'
# A user may have 128 inotify instances, and there are more containers than that.
watchers=$(cat /proc/sys/fs/inotify/max_user_instances); echo 0 >/proc/sys/fs/inotify/max_user_instances
check 'out of memory' 137 code hako run --name oom -m 16m --memory-swap 16m busybox sh -c "$hog"
check 'out of memory, inspected' 'true 137' hako inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom
check 'out of memory, told' '*oom*' sh -c 'hako events --since 60s --until 0s --filter container=oom --filter event=oom'
check 'a child out of memory' '137 0' sh -c "hako run --name child -m 16m --memory-swap 16m busybox sh -c 'exec 2>/dev/null; sh -c \"\$0\"; echo \$?' '$hog' | tr '\n' ' '; hako inspect -f '{{.State.ExitCode}}' child"
echo "$watchers" >/proc/sys/fs/inotify/max_user_instances
hako rm -f oom child >/dev/null
dd if=/dev/zero of=/var/lib/swap bs=1M count=96 2>/dev/null
mkswap /var/lib/swap >/dev/null; swapon /var/lib/swap
fill='dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; echo survived'
check 'swap used' survived inside -m 24m --memory-swap 96m busybox sh -c "$fill"
check 'swap refused' 137 code hako run --rm -m 24m --memory-swap 24m busybox sh -c "exec dd if=/dev/zero of=/dev/shm/x bs=1M count=40"
swapoff /var/lib/swap; rm /var/lib/swap
check 'too many processes' "*can't fork*" inside --pids-limit 6 busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done'
check 'throttled' 'yes' inside --cpus 0.1 busybox sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done;
  n=$(sed -n "s/^nr_throttled //p" /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null); [ "$n" -gt 0 ] && echo yes'

# With v1, kernels of these years count only throttled devices' bytes.
hako run -d --name box -m 100m --pids-limit 50 --cpus 1 $(either '' '--device-write-bps /dev/vda:100mb') busybox sh -c 'dd if=/dev/zero of=/file bs=1M count=8 conv=fsync 2>/dev/null; while :; do :; done' >/dev/null
check 'stats' 'box */ 100MiB * 1' hako stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.MemPerc}} {{.PIDs}}' box
soon 'stats count block writes' '*/ 8*MB' hako stats --no-stream --format '{{.BlockIO}}' box
soon 'stats count the processor' 'busy' sh -c 'hako stats --no-stream --format "{{.CPUPerc}}" box | awk "{ if (\$1+0 > 30 && \$1+0 < 140) print \"busy\"; else print }"'
check 'top' '*while :*' hako top box
check 'update' box hako update -m 200m --memory-swap -1 --cpus 0.5 --pids-limit 60 --cpuset-cpus 0 -c 2048 box
check 'updated memory' 209715200 control box memory.max memory memory.limit_in_bytes
check 'updated swap' "$(either max 9223372036854771712)" control box memory.swap.max memory memory.memsw.limit_in_bytes
check 'updated quota' "$(either '50000 100000' 50000)" control box cpu.max cpu cpu.cfs_quota_us
check 'updated pids' 60 control box pids.max pids pids.max
check 'updated cpuset' 0 control box cpuset.cpus cpuset cpuset.cpus
check 'updated shares' "$(either 174 2048)" control box cpu.weight cpu cpu.shares
check 'restart keeps limits' box hako restart -t 0 box
check 'kept memory' 209715200 control box memory.max memory memory.limit_in_bytes
check 'kept pids' 60 control box pids.max pids pids.max
hako rm -f box >/dev/null
check 'swappiness' "$(either '*memory swappiness discarded*' '*')" sh -c 'hako run --rm --memory-swappiness 10 busybox true 2>&1 | tr A-Z a-z'
check 'no OOM killer' "$(either '*OomKillDisable discarded*' '')" inside -m 64m --oom-kill-disable busybox true
check 'block weight' "$(either '' '*Weight discarded*')" inside --blkio-weight 300 busybox true
check 'real-time time' '*does not support CPU real-time scheduler*' inside --cpu-rt-runtime 1000 busybox true
check 'a parent of its own' '*/mine/*' sh -c 'hako run -d --name kin --cgroup-parent /mine -m 64m busybox sleep 600 >/dev/null; cat /proc/$(hako inspect -f "{{.State.Pid}}" kin)/cgroup; hako rm -f kin >/dev/null'
rmdir /sys/fs/cgroup/mine /sys/fs/cgroup/*/mine 2>/dev/null
