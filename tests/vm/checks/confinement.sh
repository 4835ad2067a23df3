# What a container cannot do, on a host where root has every capability.
show='for word in CapEff CapBnd Seccomp NoNewPrivs; do sed -n "s/^$word:[[:space:]]*//p" /proc/self/status; done | tr "\n" " "'
check 'usual' '00000000a80425fb 00000000a80425fb 2 0 ' inside busybox sh -c "$show"
check 'no new privileges' '00000000a80425fb 00000000a80425fb 2 1 ' inside --security-opt no-new-privileges busybox sh -c "$show"
check 'no filter' '00000000a80425fb 00000000a80425fb 0 0 ' inside --security-opt seccomp=unconfined busybox sh -c "$show"
check 'privileged' '000001ffffffffff 000001ffffffffff 0 0 ' inside --privileged busybox sh -c "$show"
check 'a user' '0000000000000000 00000000a80425fb 2 0 ' inside -u user busybox sh -c "$show"
check 'nothing left' '0000000000000000 0000000000000000 2 0 ' inside --cap-drop ALL busybox sh -c "$show"
check 'unshare' '*Operation not permitted*' inside busybox unshare -m true
check 'unshare with the capability' ok inside --cap-add SYS_ADMIN busybox sh -c 'unshare -m true && echo ok'
check 'mount' '*permission denied*' inside busybox mount -t tmpfs none /tmp
check 'set-uid under no-new-privileges' 1000 inside --security-opt no-new-privileges -u user busybox id -u
check 'open files' '2048 4096' inside --ulimit nofile=2048:4096 busybox sh -c 'echo $(ulimit -n) $(ulimit -Hn)'
check 'more open files than the daemon has' '1048576 1048576' inside --ulimit nofile=1048576 busybox sh -c 'echo $(ulimit -n) $(ulimit -Hn)'
check 'locked memory' 'unlimited' inside --ulimit memlock=-1 busybox sh -c 'ulimit -l'
check 'real-time priority' '9' inside --ulimit rtprio=9 busybox sh -c 'sed -n "s/Max realtime priority *\([0-9]*\) .*/\1/p" /proc/self/limits'
check 'killed last' -500 inside --oom-score-adj -500 busybox cat /proc/self/oom_score_adj
check 'kernel setting' 77 inside --sysctl net.ipv4.ip_default_ttl=77 busybox cat /proc/sys/net/ipv4/ip_default_ttl
check 'shared memory' 16384 inside --shm-size 16m busybox sh -c 'df -k /dev/shm | tail -n1 | awk "{print \$2}"'
check 'read-only root' '*Read-only*' inside --read-only busybox touch /x
check 'masked file' '' inside busybox cat /proc/timer_list
check 'masked directory' '' inside busybox ls /sys/firmware
check 'read-only part' '*Read-only*' inside busybox sh -c 'echo 1 > /proc/sys/kernel/panic'
check 'temporary file system' '*size=1024k*' inside --tmpfs /mem:size=1m busybox grep /mem /proc/mounts
check 'cgroup of its own' "$(either '0::/' '*:/')" inside busybox sh -c 'tail -n1 /proc/self/cgroup'
check "the host's cgroups" "$(either '0::/hako/*' '*:/hako/*')" inside --cgroupns host busybox sh -c 'grep -v ^0::/$ /proc/self/cgroup | tail -n1'
check "the host's processes" init inside --pid host busybox sh -c 'ps -o args | grep -o "[i]nit second" | cut -d" " -f1'
check 'small init' 'yes' inside --init busybox sh -c '[ $$ != 1 ] && echo yes'
mkdir -p /var/lib/tree/sub; mount -t tmpfs sub /var/lib/tree/sub
check 'bind' 'x' sh -c 'hako run --rm -v /var/lib/tree:/tree busybox sh -c "echo x > /tree/sub/file"; cat /var/lib/tree/sub/file'
check 'read-only bind, below, too' '*Read-only*' inside -v /var/lib/tree:/tree:ro busybox sh -c 'echo y > /tree/sub/file'
check 'read-only bind, alone' 'ok' inside --mount type=bind,src=/var/lib/tree,dst=/tree,readonly,bind-recursive=writable busybox sh -c 'echo y > /tree/sub/file && echo ok'
umount /var/lib/tree/sub
