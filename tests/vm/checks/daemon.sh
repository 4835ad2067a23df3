# The daemon is killed; what runs goes on, and is found again.
pid_file=/run/hako/daemon.pid
kill_daemon() {
  pid=$(cat $pid_file); kill -9 "$pid"
  while [ -d "/proc/$pid" ] && ! grep -q 'State:.*Z' "/proc/$pid/status"; do usleep 20000; done
}
hako run -d --name web -p 8081:80 busybox sh -c 'echo page >/index.html; httpd -p 80 -h /; i=0; while :; do i=$((i+1)); echo $i; echo $i >/count; usleep 100000; done' >/dev/null
hako run -d --name ends busybox sh -c 'until [ -e /go ]; do usleep 50000; done; echo last; exit 9' >/dev/null
hako run -d --name again --restart always busybox sh -c 'until [ -e /go ]; do usleep 50000; done; rm /go; exit 1' >/dev/null
hako run -d --name still busybox sleep 600 >/dev/null; hako pause still >/dev/null
web=/proc/$(inspect web .State.Pid)
ends=/proc/$(inspect ends .State.Pid)
again=/proc/$(inspect again .State.Pid)
soon 'published' page wget -qO- http://127.0.0.1:8081/
kill_daemon
count=$(cat "$web/root/count")
check 'published without a daemon' page wget -qO- http://127.0.0.1:8081/
soon 'goes on without a daemon' yes sh -c "[ \$(cat $web/root/count) -gt $count ] && echo yes"
touch "$ends/root/go" "$again/root/go"
while [ -d "$ends" ]; do usleep 20000; done
while [ -d "$again" ]; do usleep 20000; done
check 'found again' 'again ends still web ' sh -c 'hako ps -a --format "{{.Names}}" | sort | tr "\n" " "'
check 'new daemon' yes sh -c "[ -d /proc/\$(cat $pid_file) ] && echo yes"
check 'runs' running inspect web .State.Status
check 'paused as before' paused inspect still .State.Status
check 'unpause' still hako unpause still
check 'ended meanwhile' '9 exited' hako inspect -f '{{.State.ExitCode}} {{.State.Status}}' ends
check 'its log' last hako logs ends
soon 'restarted meanwhile' '1 running' hako inspect -f '{{.RestartCount}} {{.State.Status}}' again
check 'exec' in hako exec web echo in
check 'stats' 'web*' hako stats --no-stream --format '{{.Name}} {{.PIDs}}' web
check 'stop' 137 sh -c 'hako stop -t 0 web >/dev/null; hako inspect -f "{{.State.ExitCode}}" web'
check 'port let go' '[1-9]*' code wget -qO- http://127.0.0.1:8081/
check 'start again' page sh -c 'hako start web >/dev/null; for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://127.0.0.1:8081/ 2>/dev/null && break; usleep 200000; done'

supervisor=$(awk '/^PPid/ {print $2}' "/proc/$(inspect still .State.Pid)/status")
kill -9 "$supervisor"
soon 'supervisor killed' exited inspect still .State.Status
check 'started anew' running sh -c 'hako start still >/dev/null; hako inspect -f "{{.State.Status}}" still'
hako rm -f web ends again still >/dev/null
