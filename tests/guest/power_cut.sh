# The daemon on a disk whose writes the host logs, until the host ends the machine.
# Variables: daemon, the program's name.
socket=/run/aoe-daemon.sock

serve() {
    modprobe virtio_blk
    within 10 test -b /dev/vda
    "$daemon" --iface eth0 --shelf 0 --slot 1 --file /dev/vda --control "$socket" \
        > /tmp/daemon.log 2>&1 &
    within 60 "$daemon" status --control "$socket" || { cat /tmp/daemon.log; return 1; }
}

step serving serve
say CACHE $(cat /sys/block/vda/queue/write_cache)
step ready true
sleep 3600
