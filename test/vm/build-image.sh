#!/bin/sh
# Makes what `npm run test:vm` boots, once: base.img (Debian with systemd, what looks after drives, and this machine's own Node), its
# kernel and initrd, and an ssh key. As root; two minutes, 0.9 GB. Needs mmdebstrap, e2fsprogs, openssh-client, and a Debian mirror.
#   sh test/vm/build-image.sh [DIRECTORY]
set -eu
dir=${1:-/tmp/lab}
mkdir -p "$dir/ssh"
[ -e "$dir/base.img" ] && { echo "$dir/base.img is there; remove it to have it made anew"; exit 0; }
[ -e "$dir/ssh/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C felhom-vm -f "$dir/ssh/id_ed25519"

root=$dir/root
rm -rf --one-file-system "$root"
trap 'rm -rf --one-file-system "$root" "$dir/base.img.part"' EXIT

packages=linux-image-amd64,initramfs-tools,zstd,busybox,systemd,systemd-sysv,dbus,udev,kmod,procps,iproute2,openssh-server
packages=$packages,util-linux,fdisk,e2fsprogs,xfsprogs,btrfs-progs,exfatprogs,dosfstools,lvm2,thin-provisioning-tools,mdadm
packages=$packages,smartmontools,libstdc++6
mmdebstrap --mode=root --variant=minbase --include="$packages" --aptopt='Apt::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$root"

# The initrd needs to find the system's drive only.
printf 'MODULES=list\nCOMPRESS=zstd\n' > "$root/etc/initramfs-tools/conf.d/felhom"
printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic >> "$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u

echo felhom-vm > "$root/etc/hostname"
echo '127.0.0.1 localhost felhom-vm' > "$root/etc/hosts"
echo '/dev/vda / ext4 noatime 0 1' > "$root/etc/fstab"
install -d -m 700 "$root/root/.ssh"
install -m 600 "$dir/ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
# The address that QEMU's user network gives its machine.
printf '[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' > "$root/etc/systemd/network/eth0.network"
chroot "$root" systemctl -q enable systemd-networkd ssh
# Each of these costs seconds where everything is emulated. smartd and mdadm's monitor would ask drives beside the agent.
chroot "$root" systemctl -q mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer dpkg-db-backup.timer getty@tty1.service mdmonitor.service smartmontools.service
printf 'blacklist %s\n' kvm_amd kvm pcspkr iTCO_wdt i2c_i801 lpc_ich bochs drm evdev > "$root/etc/modprobe.d/felhom.conf"
install -m 755 "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"

cp -L "$root"/boot/vmlinuz-* "$dir/vmlinuz"
cp -L "$root"/boot/initrd.img-* "$dir/initrd"
truncate -s 3G "$dir/base.img.part"
mkfs.ext4 -q -F -L labroot -d "$root" "$dir/base.img.part"
mv "$dir/base.img.part" "$dir/base.img"
