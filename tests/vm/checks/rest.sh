# Nothing is left over.
groups() { ls -d /sys/fs/cgroup/hako*/*/ /sys/fs/cgroup/*/hako*/*/ 2>/dev/null | sed 's,.*/\(.*\)/$,\1,' | sort -u; }
check 'no containers' '' hako ps -aq
soon 'only spares have groups' '' sh -c "ls -d /sys/fs/cgroup/hako*/*/ /sys/fs/cgroup/*/hako*/*/ 2>/dev/null | grep -v /spare-"
soon 'no veth' '' sh -c 'ip -o link | grep veth'
check 'no mounts' "$mounts_before" mounted
check 'rmi' '*Untagged: busybox:latest*' hako rmi busybox
check 'prune' '*Total reclaimed space*' hako system prune -af --volumes
check 'no layers' '0' sh -c 'ls /var/lib/hako/layers | wc -l'
daemon=$(cat /run/hako/daemon.pid)
kill -TERM "$daemon"
soon 'daemon ended' no sh -c "[ -d /proc/$daemon ] && ! grep -q 'State:.*Z' /proc/$daemon/status || echo no"
soon 'no processes' '' sh -c "ps -o pid,stat,args | grep 'hako' | grep -v 'grep\| Z'"
soon 'no groups' '' groups
