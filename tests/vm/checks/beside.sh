# macvlan and ipvlan: containers beside the host, on the network its device is on. A container at the other end of the cable
# is the neighbour there.
ip link add cable type veth
ip link set cable up
ip addr add 10.77.0.2/24 dev cable
hako run -d --network none --cap-add NET_ADMIN --name neighbour busybox sh -c 'echo neighbour >/index.html; exec httpd -f -p 80 -h /' >/dev/null
ip link set veth0 netns $(hako inspect -f '{{.State.Pid}}' neighbour)
outside() { hako exec neighbour "$@"; }
outside ip link set veth0 up
outside ip addr add 10.77.0.1/24 dev veth0
outside ip route add 10.78.0.0/16 via 10.77.0.2
soon 'a neighbour' neighbour outside timeout 5 wget -qO- http://10.77.0.1/
serve='hostname >/index.html; exec httpd -f -p 80 -h /'
serving() { # NETWORK NAME ADDRESS
  hako run -d --network "$1" --ip "$3" --name "$2" --hostname "$2" busybox sh -c "$serve" >/dev/null
}
# ipvlan has its parent's MAC address where macvlan had one of its own: the neighbour must not remember that.
for kind in macvlan 'ipvlan -o ipvlan_mode=l2' 'ipvlan -o ipvlan_mode=l3' 'ipvlan -o ipvlan_mode=l3s'; do
  hako network create -d $kind -o parent=cable --subnet 10.78.0.0/24 lan >/dev/null
  case $kind in *l3*) ;; *) outside ip addr add 10.78.0.250/24 dev veth0 ;; esac
  outside ip neigh flush dev veth0
  serving lan one 10.78.0.10
  serving lan two 10.78.0.11
  soon "$kind: up" one outside timeout 5 wget -qO- http://10.78.0.10/
  check "$kind: the other, from outside" two outside timeout 5 wget -qO- http://10.78.0.11/
  check "$kind: by name" two hako exec one timeout 5 wget -qO- http://two/
  case $kind in
    *l3*) check "$kind: out" neighbour hako exec one timeout 5 wget -qO- http://10.77.0.1/ ;;
    *) check "$kind: out" neighbour hako exec one timeout 5 wget -qO- http://10.78.0.250/ ;;
  esac
  check "$kind: not the host" '[1-9]*' code nc -w 1 10.78.0.10 80 -e true
  hako rm -f one two >/dev/null
  hako network rm lan >/dev/null
  case $kind in *l3*) ;; *) outside ip addr del 10.78.0.250/24 dev veth0 ;; esac
done
hako network create -d macvlan -o parent=cable -o macvlan_mode=private --subnet 10.78.0.0/24 lan >/dev/null
serving lan one 10.78.0.10
serving lan two 10.78.0.11
check 'private: apart' '[1-9]*' code hako exec one timeout 2 wget -qO- http://10.78.0.11/
hako rm -f one two >/dev/null
hako network rm lan >/dev/null
hako network create -d macvlan -o parent=cable.7 --subnet 10.79.0.0/24 tagged >/dev/null
serving tagged one 10.79.0.10
serving tagged two 10.79.0.11
soon 'a tag of its own' two hako exec one timeout 2 wget -qO- http://10.79.0.11/
check 'its device' 1 sh -c 'ip -o link | grep -c "cable.7@"'
hako rm -f one two >/dev/null
hako network rm tagged >/dev/null
check 'its device went with the network' 0 sh -c 'ip -o link | grep -c "cable.7@"'
hako rm -f neighbour >/dev/null
ip link del cable 2>/dev/null
