# A clock that is set forth and back by hours while containers run: nothing but times may change by it.
check 'import' 'sha256:*' make_image
uptime() { cut -d. -f1 /proc/uptime; }
leap() { date -s "@$(($(date +%s) + $1))" >/dev/null; }
health() { hako inspect -f '{{.State.Health.Status}}' "$1"; }
restarts() { hako inspect -f '{{.RestartCount}}' "$1"; }
# Whether something is more than it was.
grows() { before=$("$@"); for try in $(seq 150); do [ "$("$@")" -gt "$before" ] && echo grows && return; usleep 200000; done; echo stays; }
lines() { hako logs ticker | wc -l; }
# How many seconds a command takes, by the clock that nobody sets; the wall clock leaps while it goes on.
takes() { # LEAP COMMAND…
  by=$1 begun=$(uptime); shift
  "$@" >/dev/null 2>&1 & waited=$!
  sleep 1; leap "$by"; wait $waited
  took=$(($(uptime) - begun))
  [ $took -le 25 ] && echo soon || echo "after $took s"
}
life() { hako inspect -f '{{.State.Pid}}' healed; }
# Whether an unhealthy container gets a new life after a leap.
heals() { # LEAP
  leap "$1"
  before=$(life); hako exec healed touch /ill
  for try in $(seq 150); do
    now=$(life)
    [ "$now" != 0 ] && [ "$now" != "$before" ] && echo healed && return
    usleep 200000
  done
  echo "still $now"
}

hako run -d --name ticker busybox sh -c 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done' >/dev/null
hako run -d --name sick --health-cmd 'test -e /well' --health-interval 1s --health-retries 2 --health-start-period 20s \
  --health-start-interval 1s busybox sleep 1000 >/dev/null
hako run -d --name crash --restart always --restart-max-delay 2s busybox false >/dev/null
hako run -d --name healed --on-unhealthy restart --health-cmd 'test ! -e /ill' --health-interval 1s --health-retries 1 \
  busybox sh -c 'rm -f /ill; sleep 1000' >/dev/null
hako events --format '{{.Action}}' >/tmp/events &
events=$!
hako logs -f ticker >/tmp/follow &
follow=$!

for leap in 18000 -36000 90000 -72000; do
  how="by $((leap / 3600)) h"
  began=$(uptime)
  leap $leap
  check "$how: it ticks" grows grows lines
  check "$how: a follower hears" grows grows sh -c 'wc -l </tmp/follow'
  check "$how: restarts go on" grows grows restarts crash
  check "$how: still listed" '*Up *' hako ps --filter name=ticker
  check "$how: the last second" '[1-9]*' sh -c 'hako logs --since 5s ticker | wc -l'
  check "$how: the last line is the last" yes sh -c 'tail=$(hako logs --tail 1 ticker); all=$(hako logs ticker | tail -n 1); [ "$all" -ge "$tail" ] && [ "$((all - tail))" -lt 50 ] && echo yes'
  check "$how: a run" hi inside busybox echo hi
  check "$how: exit code" 3 code hako run --rm busybox sh -c 'exit 3'
  check "$how: events" grows grows sh -c 'wc -l </tmp/events'
  check "$how: the past" '*start*' sh -c 'hako events --since 2000-01-01T00:00:00 --until 2100-01-01T00:00:00 2>&1 & p=$!; sleep 2; kill $p'
  if [ $leap = 18000 ] && [ $(($(uptime) - began)) -lt 15 ]; then check 'within the start period' starting health sick; fi
done
soon 'failures count when it is over' unhealthy health sick
hako exec sick touch /well
soon 'health is seen again' healthy health sick
leap -36000
hako exec sick rm /well
soon 'and its end, after a leap back' unhealthy health sick
for leap in 36000 -36000; do check "healing, $leap" healed heals $leap; done

for leap in 36000 -36000; do
  hako run -d --name deaf busybox sh -c 'trap "" TERM; while :; do sleep 1; done' >/dev/null
  check "a stop takes its time, $leap" soon takes $leap hako stop -t 3 deaf
  check "and ends it, $leap" 137 hako inspect -f '{{.State.ExitCode}}' deaf
  hako rm -f deaf >/dev/null
  hako run -d --name brief busybox sleep 5 >/dev/null
  check "a wait, $leap" soon takes $leap hako wait brief
  hako rm -f brief >/dev/null
done

leap -36000
kill -9 "$(cat /run/hako/daemon.pid)"
check 'the next daemon, hours before' '*Up *' hako ps --filter name=ticker
check 'it hears of restarts' grows grows restarts crash
check 'it tells events' '*die*' sh -c 'hako events --format "{{.Action}}" >/tmp/more & p=$!; hako run --rm busybox true; sleep 2; kill $p; cat /tmp/more'
check 'every line once' '' sh -c 'hako logs ticker | awk "\$1 != NR"'
check 'a follower heard all' '' sh -c 'awk "\$1 != NR" /tmp/follow'
kill $events $follow
check 'all goes' '' sh -c 'hako rm -f ticker sick crash healed >/dev/null; hako ps -aq'
