# The machine loses its power in the middle of work. What was answered before is there afterwards (`/promises`, which
# the host read off the console and kept), what was half done is not, and nothing of it stays on the disk.
house=/var/lib/hako

whole() { # IMAGE: its content is what was imported
  hako run --rm --network none "$1" sh -c 'sha256sum -c /data.sum >/dev/null && cat /id'
}
count() { find "$@" 2>/dev/null | wc -l; }

after() {
  check 'ps' 0 code hako ps -a
  check 'no damaged container' '' sh -c 'hako ps -a --format "{{.Names}} {{.State}}" | grep -i "dead\|damaged"'
  soon 'half-done work is swept' 0 count $house/tmp -mindepth 1
  while read -r kind name <&3; do
    case "$kind" in
      image) check "image $name" "$name" whole "$name" ;;
      container) check "container $name" "$name" hako start -a "$name" ;;
      volume) check "volume $name" "kept" sh -c "hako volume inspect $name >/dev/null && echo kept" ;;
      running) check "$name ran" 'exited false' hako inspect -f '{{.State.Status}} {{.State.Running}}' "$name"
        check "$name runs" running sh -c "hako start $name >/dev/null; hako inspect -f '{{.State.Status}}' $name" ;;
      restarted) soon "$name runs again" running inspect "$name" .State.Status ;;
    esac
  done 3</promises
  for name in $(hako images --format '{{.Repository}}' --filter reference='im*'); do
    check "whatever is listed is whole: $name" "$name" whole "$name"
  done
  for name in $(hako ps -a --format '{{.Names}}' --filter name=box); do
    check "whatever is listed can be started: $name" "$name" hako start -a "$name"
  done
}

clear_all() {
  hako ps -aq | xargs -r hako rm -f >/dev/null
  check 'prune volumes' '*Total reclaimed space*' hako volume prune -af
  check 'prune' '*Total reclaimed space*' hako system prune -af
  for place in layers blobs/sha256 containers volumes ingest tmp; do
    soon "nothing left in $place" 0 count $house/$place -mindepth 1 -maxdepth 1
  done
  echo REVOKE everything
}

promise() { echo "PROMISE $*"; }
revoke() { echo "REVOKE $*"; }

import_one() { # NUMBER
  tree=/tmp/im$1; cp -a /tmp/box $tree; echo im$1 >$tree/id
  head -c 300000 /dev/urandom >$tree/data; (cd $tree && sha256sum data | sed 's,data,/data,' >data.sum)
  tar -C $tree -c . | hako import -c 'CMD ["cat","/id"]' - im$1 >/dev/null && promise image im$1
  rm -r $tree
}

import_images() {
  i=0
  while i=$((i + 1)); do
    import_one $i
    old=$((i - 4))
    if [ $old -gt 0 ]; then revoke image im$old; hako rmi im$old >/dev/null; fi
  done
}

make_containers() {
  i=0
  while i=$((i + 1)); do
    hako create --name box$i im0 echo box$i >/dev/null && promise container box$i
    hako run --name ran$i im0 sh -c "echo x >/file; exec echo ran$i" >/dev/null && promise container ran$i
    hako volume create vol$i >/dev/null && promise volume vol$i
    hako run --rm im0 true
    old=$((i - 3))
    if [ $old -gt 0 ]; then revoke container box$old; hako rm box$old >/dev/null; fi
  done
}

work() {
  make_image >/dev/null; hako rmi busybox >/dev/null
  import_one 0
  hako run -d --name forever --restart always im0 sleep 10000 >/dev/null && promise restarted forever
  hako run -d --name once im0 sleep 10000 >/dev/null && promise running once
  import_images &
  make_containers &
  echo "NOTE working; the power may go"
  wait
}

if [ -e /promises ]; then after; clear_all; fi
if [ "$last" != yes ]; then
  echo "$passed passed, $failed failed ($stage, $cgroups)"
  work
fi
