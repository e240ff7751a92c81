# The daemon itself in the guest, until the host says that it has seen enough.
# Variables: mode, as the daemon's option; mib, the size of the image.
socket=/run/aoe-daemon.sock

serve() {
    aoe-daemon --iface eth0 --shelf 0 --slot 2 --file /tmp/disk.img --create "${mib}M" --sparse \
        --mode "$mode" --control "$socket" > /tmp/daemon.log 2>&1 &
    daemon=$!
    within 60 aoe-daemon status --control "$socket" || { cat /tmp/daemon.log; return 1; }
}

stop() {
    kill -TERM "$daemon"
    wait "$daemon"
}

detached() {
    ! ip link show dev eth0 | grep xdp
}

step serving serve
read -r word < /dev/console
say STATUS $(aoe-daemon status --json --control "$socket")
step stop stop
cat /tmp/daemon.log > /dev/console
step detached detached
