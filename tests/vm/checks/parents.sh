# macvlan and ipvlan: containers beside a device of the host.
server() { # NAME NETWORK ADDRESS
  hako run -d --name "$1" --network "$2" --ip "$3" busybox sh -c "echo $1 >/index.html; httpd -f -p 80 -h /" >/dev/null
}
fetch() { # NETWORK HOST
  inside --network "$1" busybox wget -T 5 -qO- "http://$2/"
}
for number in 1 2 3 4; do ip link add "side$number" type dummy; ip link set "side$number" up; done
ip addr add 10.61.0.1/24 dev side1

hako network create -d macvlan --subnet 10.61.0.0/24 -o parent=side1 mac >/dev/null
server m1 mac 10.61.0.11
soon 'macvlan: neighbours' m1 fetch mac 10.61.0.11
check 'macvlan: by name' m1 fetch mac m1
check 'macvlan: the host is not reached' '[1-9]*' code inside --network mac busybox ping -c 1 -W 1 10.61.0.1
check 'macvlan: nor reaches it' '[1-9]*' code ping -c 1 -W 1 10.61.0.11
hako network create -d macvlan --subnet 10.62.0.0/24 --internal alone >/dev/null
server m2 alone 10.62.0.11
soon 'macvlan: without a parent' m2 fetch alone m2
hako network create -d macvlan --subnet 10.63.0.0/24 -o parent=side1.30 vlan >/dev/null
server m3 vlan 10.63.0.11
soon 'macvlan: on a VLAN' m3 fetch vlan m3
check 'macvlan: the VLAN is made' 'VID: 30*' sh -c 'grep -o "VID: 30" /proc/net/vlan/side1.30'
check 'macvlan: VLANs are kept apart' '[1-9]*' code inside --network vlan busybox wget -T 2 -qO- http://10.61.0.11/

number=1
for mode in l2 l3 l3s; do
  number=$((number + 1))
  hako network create -d ipvlan --subnet 10.7$number.0.0/24 -o parent=side$number -o ipvlan_mode=$mode $mode >/dev/null
  server i$number $mode 10.7$number.0.11
  soon "ipvlan $mode: neighbours" i$number fetch $mode 10.7$number.0.11
  check "ipvlan $mode: by name" i$number fetch $mode i$number
  check "ipvlan $mode: the parent's MAC address" "$(cat /sys/class/net/side$number/address)" \
    hako exec i$number cat /sys/class/net/eth0/address
done
check 'unknown mode' '*ipvlan mode*' hako network create -d ipvlan --subnet 10.79.0.0/24 -o parent=side2 -o ipvlan_mode=l4 bad

hako rm -f m1 m2 m3 i2 i3 i4 >/dev/null
hako network rm mac alone vlan l2 l3 l3s >/dev/null
check 'nothing is left' '' sh -c 'ip -o link | grep -E "side1\.30|dm-"'
for number in 1 2 3 4; do ip link del "side$number"; done
