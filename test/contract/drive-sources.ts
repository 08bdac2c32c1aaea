/** What an agent is told of the drives of a host that there is not: for the contract tests and the bench. Nothing is ever touched. */
import type { Evidence } from '#agent/disks/inventory/evidence';
import type { DriveSources } from '#agent/serve-drive-evidence';
import { evidenceOf, type HostSpec } from '../unit/agent/disks/host.ts';

/** @param host asked at each look: a test may answer another one */
export const sourcesOf = (host: () => HostSpec): Required<Omit<DriveSources, 'inUse' | 'check' | 'sysfs' | 'driveFormat'>> => {
  let made: { of: HostSpec; evidence: Evidence } | null = null;
  const evidence = (): Evidence => {
    const of = host();
    if (made?.of !== of) made = { of, evidence: evidenceOf(of) };
    return made.evidence;
  };
  return {
    gather: async () => {
      const { probes: _probes, looks: _looks, asleep: _asleep, notAnswering: _hung, ...gathered } = evidence();
      return gathered;
    },
    probes: {
      read: async () => {
        const { probes, looks, asleep, notAnswering } = evidence();
        return { probes, looks, asleep, notAnswering };
      },
      again: async () => undefined,
      last: (name) => evidence().probes.get(name),
    },
    smartctl: {
      read: async () => ({ said: false, why: 'missing' }),
      power: async () => ({ said: false, why: 'missing' }),
      scan: async () => ({ said: false, why: 'missing' }),
    },
    selfTest: { run: async () => '' },
  };
};

/** A container, as its file in Proxmox's directory tells of it. */
export const containerText = (vmid: number, address = `BC:24:11:00:01:${String(vmid).slice(-2)}`): string =>
  `arch: amd64\nhostname: guest${vmid}\nnet0: name=eth0,bridge=vmbr0,hwaddr=${address},ip=dhcp,type=veth\nrootfs: local-btrfs:${vmid}/vm-${vmid}-disk-0.subvol,size=8G\nunprivileged: 1\n`;

const SYSTEM = { name: 'sda', model: 'System SSD', on: [{ type: 'ext4' }] };

/** A host that runs from `sda`, with guests 101 and 102. */
export const hostWith = (drives: HostSpec['drives'], more: Partial<HostSpec> = {}): HostSpec => ({
  drives: [SYSTEM, ...drives],
  mounts: [{ point: '/', from: 'sda' }],
  guests: { ct101: containerText(101), ct102: containerText(102) },
  ...more,
});

/** Letters as the kernel gives them: `sdb` … `sdz`, `sdaa` … */
export const driveName = (index: number): string => {
  const letter = (at: number) => String.fromCharCode('a'.charCodeAt(0) + at);
  return `sd${index < 26 ? '' : letter(Math.floor(index / 26) - 1)}${letter(index % 26)}`;
};

/** `sdb` and the ones after it: a customer's drives with one file system each. */
export const manyDrives = (count: number): HostSpec['drives'] =>
  Array.from({ length: count }, (_all, index) => ({ name: driveName(index + 1), model: `Portable SSD ${index}` }));
