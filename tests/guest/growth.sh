# The disk grows under the initiator: once while nobody has it open, once while somebody has.
# Variables: size1, size2, size3, in sectors.
disk=/dev/etherd/e0.1
sysfs=/sys/block/etherd!e0.1

is_up() {
    aoe-discover
    aoe-stat | grep -E '^ *e0\.1 .* up *$'
}

has() {
    [ "$(cat "$sysfs/size")" = "$1" ]
}

# The driver asks again by itself, but only once a minute.
revalidated() {
    aoe-revalidate e0.1
    sleep 0.5
    has "$1"
}

# Writes the last 64 KiB of a disk of so many sectors, and reads them back from the target.
use_the_end() {
    dd if=/dev/urandom of=/tmp/data bs=64k count=1
    dd if=/tmp/data of="$disk" bs=512 seek=$(($1 - 128)) conv=fsync
    echo 3 > /proc/sys/vm/drop_caches
    dd if="$disk" of=/tmp/back bs=512 skip=$(($1 - 128)) count=128
    cmp /tmp/data /tmp/back
}

step driver modprobe aoe
step discover within 60 is_up
step size has "$size1"
step quiet sleep 1
say STEP closed begins
step closed within 30 has "$size2"
step closed-end use_the_end "$size2"

exec 3< "$disk"
say STEP open begins
read -r word < /dev/console
step open within 30 revalidated "$size3"
step open-end use_the_end "$size3"
say MD5 $(md5sum < /tmp/data)
