# What must hold under cgroup v2 and an older kernel. Prints a line for each check and a summary.
passed=0 failed=0
check() { # NAME WANTED COMMAND…
  name=$1 wanted=$2; shift 2
  got=$("$@" 2>&1)
  case "$got" in
    $wanted) passed=$((passed + 1)); echo "PASS $name" ;;
    *) failed=$((failed + 1)); echo "FAIL $name: wanted [$wanted] got [$got]" ;;
  esac
}
export HAKO_ROOT=/root/hako HOME=/root
box=/tmp/box
mkdir -p $box/bin $box/etc $box/tmp $box/proc $box/sys $box/dev $box/root
cp /bin/busybox $box/bin/
chroot $box /bin/busybox --install -s /bin
tar -C $box -cf /tmp/box.tar .

echo "NOTE $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
check import 'sha256:*' hako import /tmp/box.tar busybox
check run hi hako run --rm busybox echo hi
check exit-code 3 sh -c 'hako run --rm busybox sh -c "exit 3"; echo $?'
check version '*Server*' hako version
check cgroup-version 2 hako info --format '{{.CgroupVersion}}'
check memory 67108864 hako run --rm -m 64m busybox cat /sys/fs/cgroup/memory.max
check pids 55 hako run --rm --pids-limit 55 busybox cat /sys/fs/cgroup/pids.max
check cpus '50000 100000' hako run --rm --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max
check cpuset 0 hako run --rm --cpuset-cpus 0 busybox cat /sys/fs/cgroup/cpuset.cpus
check read-only '*Read-only*' hako run --rm busybox sh -c 'echo 1 > /sys/fs/cgroup/pids.max'
check own-root '0::/' hako run --rm busybox cat /proc/self/cgroup
check devices '*Operation not permitted*' hako run --rm --cap-add MKNOD busybox sh -c 'mknod /tmp/m c 1 11; cat /tmp/m'
check device-allowed 'ok' hako run --rm --device /dev/null:/dev/mine busybox sh -c 'echo x > /dev/mine && echo ok'
check oom '137 true' sh -c 'hako run --name oom -m 16m --memory-swap 16m busybox sh -c "x=a; while :; do x=\$x\$x; done" >/dev/null 2>&1; echo $? $(hako inspect -f "{{.State.OOMKilled}}" oom)'
check start '[0-9a-f]*[0-9a-f]' hako run -d --name web -p 8080:80 -m 100m busybox sh -c 'while :; do printf "HTTP/1.0 200 OK\r\n\r\npage" | nc -l -p 80 >/dev/null; done'
check exec in hako exec web echo in
check publish page sh -c 'for i in 1 2 3 4 5 6 7 8 9; do wget -T 5 -qO- http://127.0.0.1:8080 2>/dev/null && break; sleep 1; done'
check stats 'web *' hako stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' web
check pause web hako pause web
check frozen 1 sh -c 'cat /sys/fs/cgroup/hako*/$(hako inspect -f "{{.Id}}" web)/cgroup.freeze'
check unpause web hako unpause web
check update 209715200 sh -c 'hako update -m 200m --memory-swap -1 web >/dev/null; hako exec web cat /sys/fs/cgroup/memory.max'
check stop web hako stop -t 0 web
check again web hako start web
check remove web hako rm -f web
check parallel 20 sh -c 'for i in $(seq 20); do hako run --rm --network none busybox echo x & done | wc -l'
check tidy '' sh -c 'hako rm -f oom >/dev/null; ls -d /sys/fs/cgroup/hako*/*/ 2>/dev/null | grep -v spare; ip -o link | grep veth'
echo "$passed passed, $failed failed"
