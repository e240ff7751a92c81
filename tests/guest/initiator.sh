# The walk of a storage administrator, with the kernel's own initiator.
# Variables: mib, how much to write; crash, 1 if the host will kill the target.
disk=/dev/etherd/e0.1
part=${disk}p1

is_up() {
    aoe-discover
    aoe-stat | grep -E '^ *e0\.1 .* up *$'
}

fill() {
    cp /tmp/data "$1" && sync
}

reread() {
    umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount "$part" /mnt
}

same() {
    cmp /tmp/data "$1"
}

clean() {
    umount /mnt && e2fsck -f -n "$part"
}

# The driver and the file system tell of every error in the kernel's log.
no_errors() {
    ! dmesg | grep -iE 'i/o error|buffer error|aoe.*(error|down|fail)|EXT4-fs (error|warning)'
}

step driver modprobe aoe
step discover within 60 is_up
say STAT $(aoe-stat)
step partition sh -c "echo ',,L' | sfdisk --quiet $disk"
step node within 10 test -b "$part"
step mkfs mkfs.ext4 -q -F "$part"
step mount mount "$part" /mnt
step data dd if=/dev/urandom of=/tmp/data bs=1M count="$mib"
say MD5 $(md5sum < /tmp/data)
step write fill /mnt/first
step remount reread
step compare same /mnt/first

if [ "$crash" = 1 ]; then
    say STEP crash begins
    step crash fill /mnt/second
    step crash-remount reread
    step crash-compare same /mnt/second
    step crash-first same /mnt/first
fi

step fsck clean
step log no_errors
