# fio writes the disk, and a file system on it, and reads back with checksums; fsx does to a file
# whatever can be done to one, and compares.
# Variables: mib, how much for each run of fio; operations, of fsx.
disk=/dev/etherd/e0.1

is_up() {
    aoe-discover
    aoe-stat | grep -E '^ *e0\.1 .* up *$'
}

# verified NAME FILE OPTION…: every block has its checksum, its place and its number.
verified() {
    name=$1
    file=$2
    shift 2
    fio --name="$name" --filename="$file" --size="${mib}M" --verify=crc32c --verify_fatal=1 \
        --verify_dump=0 --randseed=1 "$@"
}

# What is read from memory says nothing of the disk.
forget_for_ever() {
    while sleep 0.2; do
        echo 1 > /proc/sys/vm/drop_caches
    done
}

exercised() {
    cat > /tmp/fsx.toml << END
flen = 4194304
[opsize]
max = 65536
[weights]
close_open = 1
read = 10
write = 10
mapread = 5
mapwrite = 5
truncate = 1
fsync = 2
fdatasync = 2
posix_fallocate = 1
punch_hole = 2
posix_fadvise = 2
copy_file_range = 2
END
    forget_for_ever &
    forgetter=$!
    NO_COLOR=1 fsx -f /tmp/fsx.toml -N "$operations" -S 1 -P /tmp "$1"
    result=$?
    kill "$forgetter"
    return "$result"
}

clean() {
    umount /mnt && e2fsck -f -n "$disk"
}

# The driver and the file system tell of every error in the kernel's log.
no_errors() {
    ! dmesg | grep -iE 'i/o error|buffer error|aoe.*(error|down|fail)|EXT4-fs (error|warning)'
}

direct="--ioengine=libaio --direct=1 --iodepth=32"
step driver modprobe aoe
step discover within 60 is_up
step random verified random "$disk" $direct --rw=randwrite --bs=4k
step sectors verified sectors "$disk" $direct --rw=randwrite --bs=512 --io_size=2M
step mixed verified mixed "$disk" $direct --rw=randrw --bs=16k
step sequential verified sequential "$disk" $direct --rw=write --bs=64k
step mkfs mkfs.ext4 -q -F "$disk"
step mount mount "$disk" /mnt
step file verified file /mnt/file --ioengine=psync --rw=randwrite --bs=4k --fsync=64
step appended verified appended /mnt/appended $direct --rw=write --bs=8k
step exercised exercised /mnt/exercised
step fsck clean
step log no_errors
