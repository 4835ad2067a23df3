# Devices: a program of the kernel (v2) or a list (v1) says which may be used.
check 'standard ones' 'ok' inside busybox sh -c 'echo x > /dev/null && head -c 4 /dev/zero >/dev/null && head -c 4 /dev/urandom >/dev/null && echo ok'
check 'another one' '*Operation not permitted*' inside busybox sh -c 'mknod /tmp/kmsg c 1 11; cat /tmp/kmsg'
check 'the disk' '*Operation not permitted*' inside busybox sh -c 'mknod /tmp/disk b 254 0; head -c 1 /tmp/disk'
check 'given' 512 inside --device /dev/vda:/dev/disk busybox sh -c 'head -c 512 /dev/disk | wc -c'
check 'given to read, reading' 512 inside --device /dev/vda:/dev/disk:r busybox sh -c 'head -c 512 /dev/disk | wc -c'
check 'given to read, writing' '*Operation not permitted*' inside --device /dev/vda:/dev/disk:r busybox sh -c 'echo x > /dev/disk'
check 'by rule' '5' inside --device-cgroup-rule 'c 1:* rw' busybox sh -c 'mknod /tmp/kmsg c 1 11; echo hello >/tmp/kmsg; echo 5'
check 'rule for another' '*Operation not permitted*' inside --device-cgroup-rule 'c 2:* rwm' busybox sh -c 'mknod /tmp/kmsg c 1 11; cat /tmp/kmsg'
check 'privileged' 512 inside --privileged busybox sh -c 'head -c 512 /dev/vda | wc -c'
check 'privileged, a new node' 512 inside --privileged busybox sh -c 'mknod /tmp/disk b 254 0; head -c 512 /tmp/disk | wc -c'
hako run -d --name box --device /dev/vda:/dev/disk:r busybox sleep 600 >/dev/null
check 'exec, given' 512 hako exec box sh -c 'head -c 512 /dev/disk | wc -c'
check 'exec, refused' '*Operation not permitted*' hako exec box sh -c 'mknod /tmp/kmsg c 1 11; cat /tmp/kmsg'
check 'privileged exec stays within the group' '*Operation not permitted*' hako exec --privileged box sh -c 'cat /tmp/kmsg'
hako update -m 64m --memory-swap -1 box >/dev/null
check 'update leaves devices' '*Operation not permitted*' hako exec box sh -c 'cat /tmp/kmsg'
hako restart -t 0 box >/dev/null
check 'after a restart, given' 512 hako exec box sh -c 'head -c 512 /dev/disk | wc -c'
check 'after a restart, refused' '*Operation not permitted*' hako exec box sh -c 'cat /tmp/kmsg'
hako rm -f box >/dev/null
