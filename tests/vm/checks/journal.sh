# The driver `journald` with systemd's own journal: what it writes there, and what `logs` reads back.
mkdir -p /run/log/journal
/usr/lib/systemd/systemd-journald &
journal=$!
soon 'the journal listens' yes sh -c '[ -S /run/systemd/journal/socket ] && echo yes'
make_image >/dev/null 2>&1
hako run -d --name box --log-driver journald --log-opt tag='{{.Name}}/{{.ID}}' --log-opt labels=app --label app=web \
  --log-opt env=STAGE -e STAGE=test busybox sh -c 'echo told; echo complained >&2; exec sleep 600' >/tmp/said 2>&1
id=$(inspect box .Id)
# The value of a field of the entry with a message.
field() { # MESSAGE FIELD
  journalctl -o export --no-pager 2>/dev/null | awk -v message="MESSAGE=$1" -v field="$2" '
    function end() { if (told) for (i = 1; i <= count; i++) if (index(lines[i], field "=") == 1) print substr(lines[i], length(field) + 2); count = told = 0 }
    $0 == "" { end(); next } { lines[++count] = $0 } $0 == message { told = 1 } END { end() }'
}
soon 'an entry' box field told CONTAINER_NAME
check 'its id' "$(echo "$id" | cut -c1-12)" field told CONTAINER_ID
check 'its whole id' "$id" field told CONTAINER_ID_FULL
check 'its tag' "box/$(echo "$id" | cut -c1-12)" field told CONTAINER_TAG
check 'its identifier' "box/$(echo "$id" | cut -c1-12)" field told SYSLOG_IDENTIFIER
check 'its image' busybox field told IMAGE_NAME
check 'its label' web field told APP
check 'its variable' test field told STAGE
soon 'what was complained of' complained sh -c 'journalctl -o cat --no-pager CONTAINER_NAME=box PRIORITY=3 2>/dev/null'
check 'logs' told sh -c 'hako logs box 2>/dev/null'
check 'logs of complaints' complained sh -c 'hako logs box 2>&1 >/dev/null'
check 'found by name' told sh -c 'journalctl -o cat --no-pager CONTAINER_NAME=box PRIORITY=6 2>/dev/null'
hako rm -f box >/dev/null
kill $journal
