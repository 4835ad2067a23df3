# Sizes of layers and volumes, on an ext4 with project quotas.
check 'an image' '*' make_image
full='*Disk quota exceeded*'
write() { echo "dd if=/dev/zero of=$1 bs=1M count=$2 2>&1; rm -f $1"; }
check 'a layer within its size' '*16+0 records out*' inside --storage-opt size=32m busybox sh -c "$(write /x 16)"
check 'a layer beyond its size' "$full" inside --storage-opt size=32m busybox sh -c "$(write /x 48)"
check 'a layer without a size' '*48+0 records out*' inside busybox sh -c "$(write /x 48)"
check 'what an image has does not count, but its change does' "$full" \
  inside --storage-opt size=256k busybox sh -c 'cat /bin/busybox >>/bin/busybox2 2>&1 || cp /bin/busybox /y 2>&1'
hako run -d --name kept --storage-opt size=16m busybox sh -c 'dd if=/dev/zero of=/x bs=1M count=12; sleep 1000' >/dev/null
check 'a size is remembered' 'map[[]size:16m]*' hako inspect -f '{{.HostConfig.StorageOpt}}' kept
soon 'a layer fills' '*12582912*' hako exec kept stat -c %s /x
hako restart -t 0 kept >/dev/null
check 'a size outlives a restart' "$full" hako exec kept sh -c "$(write /y 8)"
check 'removed' kept hako rm -f kept

check 'a volume' bounded hako volume create -o size=24m bounded
check 'within its size' '*16+0 records out*' inside -v bounded:/v busybox sh -c "$(write /v/x 16)"
check 'beyond its size' "$full" inside -v bounded:/v busybox sh -c "$(write /v/x 32)"
check 'with its options' 'map[[]size:24m]*' hako volume inspect -f '{{.Options}}' bounded
check 'a volume by --mount' "$full" inside --mount 'type=volume,source=mine,target=/v,volume-opt=size=8m' busybox sh -c "$(write /v/x 16)"
check 'no such size' "*create odd: invalid size: 'x'*" hako volume create -o size=x odd
check 'no such option' '*Unknown option speed*' inside --storage-opt speed=1 busybox true
check 'not for what is mounted' '*not what is mounted there*' hako volume create -o type=tmpfs -o device=tmpfs -o size=8m odd
check 'removed too' 'bounded' hako volume rm bounded
for round in 1 2 3; do hako volume create -o size=8m again >/dev/null && hako volume rm again >/dev/null; done
check 'a name used again' "$full" inside --mount 'type=volume,source=again,target=/v,volume-opt=size=8m' busybox sh -c "$(write /v/x 16)"
