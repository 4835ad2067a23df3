# The bridge, published ports, names.
hako run -d --name web -p 8080:80 -p 127.0.0.1:8090-8092:90-92 -p 9999:9/udp busybox sh -c 'echo page >/index.html; httpd -f -p 80 -h /' >/dev/null
address=$(hako inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)
gateway=$(hako inspect -f '{{.NetworkSettings.Networks.bridge.Gateway}}' web)
soon 'started' running inspect web .State.Status
soon 'by address' page wget -qO- "http://$address/"
check 'published on loopback' page wget -qO- http://127.0.0.1:8080/
check "published on the host's own address" page wget -qO- "http://$gateway:8080/"
check 'published on loopback, IPv6' page wget -qO- 'http://[::1]:8080/'
check 'port' '0.0.0.0:8080*' hako port web 80
check 'range' '3' sh -c 'hako port web | grep -c 127.0.0.1'
check 'from another container' page inside busybox wget -qO- "http://$address/"
check 'from another container by the published port' page inside busybox wget -qO- "http://$gateway:8080/"
check 'in its network' page inside --network container:web busybox wget -qO- http://127.0.0.1/
check "in the host's network" page inside --network host busybox wget -qO- http://127.0.0.1:8080/
check 'none' 1 inside --network none busybox sh -c 'ip -o link | wc -l'
check 'taken port' '*port is already allocated*' hako run --rm -p 8080:80 busybox true
check 'taken by the host' '*address already in use*' sh -c 'nc -l -p 8070 & sleep 0.2; hako run --rm -p 8070:80 busybox true; kill $!'
check 'hosts' '*here' inside --hostname here --add-host there:10.0.0.9 busybox sh -c 'grep -c there /etc/hosts >/dev/null && hostname'
check 'log' '' hako logs web
hako rm -f web >/dev/null
check 'gone' '[1-9]*' code wget -qO- http://127.0.0.1:8080/
