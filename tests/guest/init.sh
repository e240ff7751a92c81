#!/bin/busybox sh
# First process of a guest: brings up the network, runs the job, powers off. The variables come
# from the kernel's command line.
/bin/busybox mkdir -p /etc /proc /sys /dev /tmp /run /mnt /sbin
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
ln -sf /proc/mounts /etc/mtab

. /steps.sh
step card modprobe -a virtio_pci virtio_net
for interface in /sys/class/net/eth*; do
    step link ip link set dev "${interface##*/}" mtu "$mtu" up
done
say KERNEL $(uname -r)
. /job.sh
say STEP everything ok
poweroff -f
