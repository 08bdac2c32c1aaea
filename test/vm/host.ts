/** The machine as a Proxmox host with the agent under its shipped unit, two guests enrolled, and five drives of four kinds. */
import type { AdminDrive, AdminDrives } from '#shared/wire/admin-disks';
import type { HostMetrics } from '#shared/wire/metrics';
import { askAs, askRoot, type Guest, type Reply } from './client.ts';
import { stage } from './stage.ts';
import { bootVm, SERIALS, type Vm, WWNS } from './vm.ts';

export interface VmHost {
  vm: Vm;
  /** Over the root-only socket. */
  // biome-ignore lint/suspicious/noExplicitAny: the tests read what they need
  admin(method: string, path: string, body?: object): Promise<any>;
  get(path: string, vmid?: number): Promise<Reply>;
  post(path: string, body: object, vmid?: number): Promise<Reply>;
  guest(vmid: number): Guest;
  drives(): Promise<AdminDrives>;
  /** By its serial, whatever the kernel calls it now. */
  drive(serial: string): Promise<AdminDrive>;
  metrics(): Promise<HostMetrics>;
  /** Waits until the agent answers, and every source of drives does. */
  ready(): Promise<void>;
  /** After a power cut: what is mounted on a host at boot, Proxmox, the agent. */
  again(): Promise<void>;
  close(): Promise<void>;
}

/** Everything is emulated, and this machine may be busy with other things as well. */
const PATIENCE_MS = 600_000;

/** The first answer that `look` gives and `good` takes; rejects with the last one otherwise. */
export const until = async <T>(look: () => Promise<T>, good: (found: T) => boolean, limitMs = PATIENCE_MS): Promise<T> => {
  const end = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (good(found)) return found;
      last = found;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end)
      throw new Error(
        `waited in vain for ${limitMs / 1000} s; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
};

const SATA = `/dev/disk/by-id/wwn-${WWNS.sata}`;
const LVM = `/dev/disk/by-id/wwn-${WWNS.lvm}`;
const NVME = `/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_${SERIALS.nvme}`;
export const USB = `/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_${SERIALS.usb}-0:0`;

/** A backup drive, a drive of Proxmox's own files, LVM-thin with a guest's volume; the USB drive stays empty. */
const FURNISH = `set -e
udevadm settle
mkdir -p /mnt/pve/sata-backup /mnt/pve/nvme
printf 'label: gpt\\n,\\n' | sfdisk -q ${SATA}
udevadm settle
mkfs.ext4 -q ${SATA}-part1
mount ${SATA}-part1 /mnt/pve/sata-backup
mkfs.ext4 -q ${NVME}
mount ${NVME} /mnt/pve/nvme
pvcreate -q -y ${LVM} && vgcreate -q labvg ${LVM}
lvcreate -q -y --type thin-pool -L 1G --poolmetadatasize 8M -n data labvg
lvcreate -q -y -V 1G --thinpool labvg/data -n vm-101-disk-0
udevadm settle`;

/** What a host's fstab and its volume groups do at boot. */
const REMOUNT = `set -e
udevadm settle
vgchange -q -ay labvg > /dev/null
findmnt /mnt/pve/sata-backup > /dev/null || mount ${SATA}-part1 /mnt/pve/sata-backup
findmnt /mnt/pve/nvme > /dev/null || mount ${NVME} /mnt/pve/nvme`;

/** Our unit names Debian's node; the image has this machine's own. */
const UNPACK = `set -e
mkdir -p /run/felhom-share
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000 felhom-share /run/felhom-share
tar -C / --no-same-owner -xf /run/felhom-share/felhom.tar
[ -e /usr/bin/node ] || ln -s "$(command -v node)" /usr/bin/node
systemctl daemon-reload`;

const PROXMOX = `systemd-run --quiet --unit=proxmox -p StandardOutput=file:/run/proxmox.out -p StandardError=file:/run/proxmox.err \
  node /usr/lib/felhom/test/vm/host.js`;

export const startHost = async (vmids: readonly number[]): Promise<VmHost> => {
  const vm = await bootVm(stage);
  const guests = new Map<number, Guest>();
  let socket = '';
  const guest = (vmid: number): Guest => guests.get(vmid) ?? { port: vm.port, fingerprint: '', token: '' };

  const host: VmHost = {
    vm,
    guest,
    admin: (method, path, body) => askRoot(socket, { method, path, body }),
    get: (path, vmid = 101) => askAs(guest(vmid), { method: 'GET', path }),
    post: (path, body, vmid = 101) => askAs(guest(vmid), { method: 'POST', path, body }),
    drives: () => host.admin('GET', '/drives'),
    drive: async (serial) => {
      const { drives } = await host.drives();
      const found = drives.find((one) => one.serial === serial && one.present);
      if (found === undefined) throw new Error(`no drive ${serial} among ${drives.map(({ name }) => name)}`);
      return found;
    },
    metrics: async () => (await host.get('/host/metrics')).json.data,
    ready: async () => {
      await until(
        host.drives,
        ({ missing, drives, writes_off }) => missing.length === 0 && drives.length >= 5 && writes_off === '',
      );
    },
    again: async () => {
      await vm.out(REMOUNT);
      await begin();
    },
    close: vm.stop,
  };

  const begin = async (): Promise<void> => {
    await vm.out(PROXMOX);
    await until(
      () => vm.out('cat /run/proxmox.out /run/proxmox.err'),
      (said) => said.startsWith('ready'),
    );
    await vm.out('systemctl start felhom-agent');
    socket = await vm.socket('/run/felhom-agent/admin.sock');
    await host.ready();
  };

  try {
    await vm.out(UNPACK);
    await vm.out(FURNISH);
    await begin();
    for (const vmid of vmids) {
      const { bootstrap } = await host.admin('POST', `/guests/${vmid}/enroll`);
      const [endpoint] = bootstrap.endpoints;
      guests.set(vmid, { port: vm.port, fingerprint: endpoint.fingerprints[0], token: bootstrap.token });
    }
    return host;
  } catch (error) {
    const { out } = await vm.run('journalctl -u felhom-agent --no-pager | tail -40; cat /run/proxmox.err');
    await vm.stop();
    throw new Error(`The host did not come up.\n${out}`, { cause: error });
  }
};
