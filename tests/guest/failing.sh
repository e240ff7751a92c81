# The daemon on two disks behind the device mapper, which does to them what the host says, and on a
# third one that nothing happens to.
# The second one writes back.
# Variables: timeout, the daemon's --io-timeout in seconds.
socket=/run/aoe-daemon.sock

# Parts of table lines: what is from FIRST to END of a disk.
# part FIRST END KIND…
part() {
    first=$1
    count=$(($2 - $1))
    shift 2
    echo "$first $count $* "
}

# What a disk is: table KIND DISK.
table() {
    disk=/dev/$2
    end=$(cat "/sys/block/$2/size")
    case $1 in
        # As it should be.
        good) part 0 "$end" linear "$disk" 0 ;;
        # Two sectors in the middle of a block of 4 KiB can't be read.
        unreadable)
            part 0 1003 linear "$disk" 0
            part 1003 1005 error
            part 1005 "$end" linear "$disk" 1005
            ;;
        # Reading goes on.
        unwritable) part 0 "$end" flakey "$disk" 0 0 1 1 error_writes ;;
        # What is written to all but the last sectors gets there, and can't be flushed.
        unflushable)
            part 0 $((end - 8)) linear "$disk" 0
            part $((end - 8)) "$end" flakey "$disk" $((end - 8)) 0 1 1 error_writes
            ;;
    esac
}

# become KIND DISK
become() {
    table "$1" "$2" | dmsetup load "map-$2" &&
        dmsetup suspend "map-$2" && dmsetup resume "map-$2"
}

suspend() {
    dmsetup suspend "map-$1"
}

resume() {
    dmsetup resume "map-$1"
}

serve() {
    modprobe -a virtio_blk dm_mod dm_flakey
    for disk in vda vdb vdc; do
        within 10 test -b "/dev/$disk"
    done
    # Without udev there are no other names than the kernel's.
    for minor in 0 1; do
        set -- vda vdb
        shift "$minor"
        table good "$1" | dmsetup create "map-$1" && within 10 test -b "/dev/dm-$minor" || return 1
    done
    cat > /tmp/aoe.toml << END
interfaces = ["eth0"]
io-timeout = $timeout
[[export]]
shelf = 0
slot = 1
file = "/dev/dm-0"
[[export]]
shelf = 0
slot = 2
file = "/dev/dm-1"
durability = "writeback"
[[export]]
shelf = 0
slot = 3
file = "/dev/vdc"
END
    aoe-daemon --config /tmp/aoe.toml --control "$socket" --state-dir /tmp > /tmp/daemon.log 2>&1 &
    daemon=$!
    within 60 status || { cat /tmp/daemon.log; return 1; }
}

status() {
    report=$(aoe-daemon status --json --control "$socket") && say "STATUS-$number" $report
}

# Whether the daemon has said this.
said() {
    within 5 grep -F "$*" /tmp/daemon.log
}

not() {
    ! "$@"
}

cleared() {
    aoe-daemon clear "$1" --failed --control "$socket"
}

stop() {
    kill -TERM "$daemon"
    wait "$daemon"
}

number=0
step serving serve
# The host's orders: a line each.
while read -r line < /dev/console && [ "$line" != enough ]; do
    number=$((number + 1))
    step "order-$number" $line
done
step stop stop
cat /tmp/daemon.log > /dev/console
