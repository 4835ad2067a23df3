# Images and the writable layer on a kernel whose overlay takes its layers otherwise.
# An archive of `docker save` with COUNT layers above busybox's.
make_deep() { # NAME COUNT
  work=/tmp/deep; rm -rf $work; mkdir -p $work/tree/layers
  cp /tmp/box.tar $work/0.tar
  layers='"0.tar"' ids="\"sha256:$(sha256sum $work/0.tar | cut -c-64)\""
  for i in $(seq "$2"); do
    rm -f $work/tree/layers/*; echo "$i" >$work/tree/layers/$i; echo "$i" >$work/tree/last
    tar -C $work/tree -cf $work/$i.tar layers/$i last
    layers="$layers,\"$i.tar\"" ids="$ids,\"sha256:$(sha256sum $work/$i.tar | cut -c-64)\""
  done
  echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"sh\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$ids]}}" >$work/config.json
  echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$1\"],\"Layers\":[$layers]}]" >$work/manifest.json
  rm -r $work/tree
  tar -C $work -cf - . | hako load -q; rm -r $work
}
for count in 3 14 15 120; do
  check "$count more layers" "*deep:$count*" make_deep deep:$count $count
  check "$count more layers, run" "$count $count" inside deep:$count sh -c 'echo $(ls /layers | wc -l) $(cat /last)'
done
check 'many layers, kept' "120 x" sh -c 'hako run --name kept deep:120 sh -c "echo x >/last; rm -rf /layers/7; mkdir /layers/7"; hako start -a kept;
  count=$(hako export kept | tar -t | grep -c "^layers/."); echo $count $(hako cp kept:/last - | tar -xOf -)'
check 'diff' 'C /last C /layers C /layers/7 ' sh -c 'hako diff kept | sort | tr "\n" " "'
check 'commit' 'sha256:*' hako commit kept grown
check 'committed' x inside grown cat /last
check 'no complaint in the log of the kernel' '' sh -c 'dmesg | grep "overlayfs:"'
check 'save and load' '*grown*' sh -c 'hako save grown >/tmp/grown.tar && hako rm kept >/dev/null && hako rmi grown >/dev/null && hako load -i /tmp/grown.tar; rm /tmp/grown.tar'
check 'loaded' x inside grown cat /last
check 'volume, copied up' '120' inside -v data:/layers deep:120 sh -c 'ls /layers | wc -l'
check 'volume, kept' '120' inside -v data:/data busybox sh -c 'ls /data | wc -l'
check 'volume removed' data hako volume rm data
check 'a full layer is refused nothing' 'moved' inside deep:14 sh -c 'mv /layers /moved && ls -d /moved | tr -d /'
check 'rmi' '*Untagged: grown:latest*' hako rmi grown
for count in 3 14 15 120; do hako rmi deep:$count >/dev/null; done
