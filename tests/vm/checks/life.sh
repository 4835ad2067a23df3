# One container's life: pause, exec, logs, restart, health, stop, kill.
hako run -d --name box busybox sh -c 'trap "exit 7" TERM; i=0; while :; do i=$((i+1)); echo line $i; echo $i >/count; usleep 50000; done' >/dev/null
check 'running' 'running' inspect box .State.Status
soon 'logs' '*line 3*' hako logs box
check 'tail' 'line *' hako logs --tail 1 box
check 'exec' in hako exec box echo in
check 'exec, code' 5 code hako exec box sh -c 'exit 5'
check 'exec, user and directory' '1000 /tmp' hako exec -u user -w /tmp box sh -c 'echo $(id -u) $PWD'
check 'exec, terminal' '/dev/pts/*' sh -c 'hako exec -t box tty | tr -d "\r"'
check 'exec, in the group' "$(either '0::/' '*:/')" hako exec box sh -c 'tail -n1 /proc/self/cgroup'
check 'pause' box hako pause box
check 'paused' paused inspect box .State.Status
check 'frozen' "$(either '*frozen 1*' FROZEN)" control box cgroup.events freezer freezer.state
before=$(cat "/proc/$(inspect box .State.Pid)/root/count"); usleep 300000
check 'stands still' "$before" cat "/proc/$(inspect box .State.Pid)/root/count"
check 'no exec while paused' '*is paused*' hako exec box true
check 'unpause' box hako unpause box
soon 'goes on' yes sh -c "[ \$(hako exec box cat /count) -gt $before ] && echo yes"
check 'stop by signal' '7' sh -c 'hako stop box >/dev/null; hako inspect -f "{{.State.ExitCode}}" box'
check 'start again' box hako start box
hako pause box >/dev/null
check 'kill while paused' "$(either 137 '*')" sh -c 'hako kill box >/dev/null; hako unpause box >/dev/null 2>&1; hako wait box'
hako start box >/dev/null; hako pause box >/dev/null
check 'remove while paused' box hako rm -f box

check 'on failure, at most' '2 1 exited' sh -c 'hako run -d --name fails --restart on-failure:2 busybox sh -c "exit 1" >/dev/null;
  for i in $(seq 100); do [ "$(hako inspect -f "{{.RestartCount}} {{.State.Status}}" fails)" = "2 exited" ] && break; usleep 100000; done;
  hako inspect -f "{{.RestartCount}} {{.State.ExitCode}} {{.State.Status}}" fails'
hako run -d --name always --restart always -m 64m busybox sleep 600 >/dev/null
kill -9 "$(inspect always .State.Pid)"
soon 'always' '1 running' hako inspect -f '{{.RestartCount}} {{.State.Status}}' always
check 'limits again' 67108864 control always memory.max memory memory.limit_in_bytes
check 'devices again' '*Operation not permitted*' hako exec always sh -c 'mknod /tmp/kmsg c 1 11; cat /tmp/kmsg'
hako rm -f fails always >/dev/null

hako run -d --name well --health-cmd 'test -f /tmp/ok' --health-interval 300ms --health-retries 1 --health-start-period 0s busybox sleep 600 >/dev/null
soon 'unhealthy' unhealthy inspect well .State.Health.Status
hako exec well touch /tmp/ok
soon 'healthy' healthy inspect well .State.Health.Status
hako rm -f well >/dev/null

hako run -d --name deaf busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 600 & wait; done' >/dev/null
soon 'deaf to TERM' ready hako logs deaf
check 'killed after the grace' '137' sh -c 'hako stop -t 1 deaf >/dev/null; hako inspect -f "{{.State.ExitCode}}" deaf'
hako rm deaf >/dev/null
check 'a forest of processes dies with its first' '' sh -c 'hako run -d --name forest busybox sh -c "for i in 1 2 3 4 5; do (sleep 7777 & sleep 7777) & done; sleep 7777" >/dev/null;
  hako exec -d forest sleep 7777; hako rm -f forest >/dev/null; ps -o args | grep "^sleep 7777"'
check 'twenty at once' 20 sh -c 'for i in $(seq 20); do hako run --rm --network none busybox echo x & done | wc -l'
