# fio writes the disk, and a file system on it, and reads back with checksums.
# Variables: mib, how much for each run.
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
step fsck clean
step log no_errors
