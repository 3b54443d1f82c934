#!/bin/sh
# A machine in namespaces of its own (machine.rs): systemd as process 1 with this machine's programs, read-only. /etc, /var and
# /usr/local/bin are below the directory that is given and stay there when the machine dies.
set -eu
machine=$1
root=$machine/root
mount --make-rprivate /
mount --bind / "$root"
mount -o remount,ro,bind "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$machine/etc" "$root/etc"
mount --bind "$machine/var" "$root/var"
mount --bind "$machine/bin" "$root/usr/local/bin"
cd "$root"
pivot_root . tmp
umount -l /tmp
mount -t tmpfs tmpfs /tmp
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no
