# Writes over two network cards while the host cuts the wire of one, and reads back.
# Variables: mib, how much.
disk=/dev/etherd/e0.1

has_both() {
    aoe-discover
    aoe-stat | grep -E '^ *e0\.1 .* eth[01],eth[01] .* up *$'
}

fill() {
    dd if=/tmp/data of="$disk" bs=1M conv=fsync
}

same() {
    echo 3 > /proc/sys/vm/drop_caches
    dd if="$disk" of=/tmp/back bs=1M count="$mib"
    cmp /tmp/data /tmp/back
}

# Nothing of it may have reached those who use the disk.
no_errors() {
    ! dmesg | grep -iE 'i/o error|buffer error|aoe.*(error|down|fail)'
}

step driver modprobe aoe
step discover within 60 has_both
step data dd if=/dev/urandom of=/tmp/data bs=1M count="$mib"
say MD5 $(md5sum < /tmp/data)
say STEP write begins
step write fill
step compare same
step log no_errors
