/** Whether the agent sees all that keeps drives safe. A sandbox that hides one of these makes checks succeed that should fail. */
import type { Clock } from '#shared/clock';
import { type Mount, mountOf, parseMountinfo } from '#shared/mountinfo';
import { createFreshReading } from '../../fresh-reading.ts';
import { NotUnderstood } from '../../not-understood.ts';
import { CommandError, type RunCommand } from '../../ports/command.ts';
import type { Proc } from '../../ports/proc.ts';
import type { KernelDevice, Sysfs } from '../../ports/sysfs.ts';
import type { UdevDb } from '../../ports/udev-db.ts';
import type { Zpool } from '../../ports/zpool.ts';
import { isDriveDevice } from '../inventory/kinds.ts';
import { parseBlockDrivers, parseMdstat, parseSwaps } from './kernel-text.ts';
import { hostMounts } from './seen-mounts.ts';

export interface SelfTestPorts {
  clock: Clock;
  run: RunCommand;
  proc: Pick<Proc, 'swaps' | 'mdstat' | 'devices' | 'mountinfo' | 'mountinfoOf' | 'openFilesOf' | 'statusOf'>;
  sysfs: Pick<Sysfs, 'kernelDevices'>;
  udev: UdevDb;
  zpool: Zpool;
  /** Of this process. */
  pid: number;
  /** Files whose loop devices count as drives. Then the machine below is not the host under test: one of these stands for its root's drive. */
  loopDrives: readonly string[];
}

export interface SelfTest {
  /** Empty where all is there; else why nothing may be done to drives, as a sentence. Never rejects, and answers in about three seconds. */
  run(): Promise<string>;
}

const DEADLINE_MS = 3_000;

/** Bits of `CapEff`, capabilities(7): without them other processes' files, raw devices or mounts cannot be looked at. */
const CAPABILITIES = [
  ['CAP_DAC_READ_SEARCH', 2],
  ['CAP_SYS_RAWIO', 17],
  ['CAP_SYS_PTRACE', 19],
  ['CAP_SYS_ADMIN', 21],
] as const;

const fails = (why: string): never => {
  throw new NotUnderstood(why);
};

const capabilities = async ({ proc, pid }: SelfTestPorts): Promise<void> => {
  const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec((await proc.statusOf(pid)) ?? '') ?? [];
  if (hex === undefined) fails('the kernel does not tell them');
  const lacking = CAPABILITIES.filter(([, bit]) => ((BigInt(`0x${hex}`) >> BigInt(bit)) & 1n) === 0n);
  if (lacking.length > 0) fails(`${lacking.map(([name]) => name).join(', ')} is missing`);
};

const swaps = async ({ proc }: SelfTestPorts): Promise<void> => void parseSwaps(await proc.swaps());

const mdstat = async ({ proc }: SelfTestPorts): Promise<void> => {
  if (parseBlockDrivers(await proc.devices()).has('md')) parseMdstat(await proc.mdstat());
};

const firstProcess = async ({ proc, pid, loopDrives }: SelfTestPorts): Promise<void> => {
  // With PrivatePIDs= the agent itself is number 1, and what it would read of the host is its own.
  if (pid === 1) fails('the agent has a process namespace of its own');
  await hostMounts(proc);
  if (loopDrives.length > 0) return;
  if (((await proc.openFilesOf(1)) ?? []).length === 0) fails('it seems to have no file open');
};

/** What `ProtectHome=` hides, which holds nothing that is looked at. */
const HIDDEN = /^\/(?:home|root|run\/user)(?:\/|$)/;
const onDevice = ({ device, source }: Mount): boolean => !device.startsWith('0:') || source.startsWith('/dev/');
const same = (a: Mount, b: Mount): boolean => a.device === b.device && a.point === b.point;

/** What of the host's the agent's own view lacks, or may only read (ProtectKernelTunables=); empty where nothing. */
const lackOf = async ({ proc }: SelfTestPorts): Promise<string> => {
  const [host, own] = await Promise.all([hostMounts(proc), proc.mountinfo().then(parseMountinfo)]);
  const lost = host.find((one) => onDevice(one) && !HIDDEN.test(one.point) && !own.some((other) => same(one, other)));
  if (lost !== undefined) return `what is mounted at ${lost.point} is not among them`;
  const writable = (mounts: readonly Mount[], path: string) => mountOf(mounts, path)?.options[0] === 'rw';
  const frozen = ['/sys', '/proc'].find((path) => writable(host, path) && !writable(own, path));
  return frozen === undefined ? '' : `${frozen} is read-only there`;
};

/** Twice, for mounts come and go between two readings. */
const ownView = async (ports: SelfTestPorts): Promise<void> => {
  const lack = (await lackOf(ports)) && (await lackOf(ports));
  if (lack !== '') fails(lack);
};

const database = async ({ udev, sysfs, loopDrives }: SelfTestPorts): Promise<void> => {
  const drives = (await sysfs.kernelDevices()).filter((device) => isDriveDevice(device, loopDrives));
  if ((await udev.read(drives)).size === 0 && drives.length > 0) fails('it knows none of the drives');
};

/** `sda2` for a mount of it, by its numbers, or where it has none of its own (btrfs) by its path. */
const deviceOf = (devices: readonly KernelDevice[], { device, source }: Mount): string | undefined => {
  const all = devices.flatMap((one) => [one, ...one.partitions]);
  const mapped = devices.find(({ dm }) => dm !== null && source === `/dev/mapper/${dm.name}`);
  return (all.find(({ numbers }) => numbers === device) ?? mapped ?? all.find(({ name }) => source === `/dev/${name}`))?.name;
};

/** Of what the root file system lies on. Undefined where that is no drive: an image in memory, an overlay, another machine. */
const rootDevice = async ({ proc, zpool }: SelfTestPorts, devices: readonly KernelDevice[]): Promise<string | undefined> => {
  const mounts = await hostMounts(proc);
  const root = mountOf(mounts, '/');
  if (root?.fstype === 'zfs') {
    const [name] = root.source.split('/');
    return (await zpool.pools()).find((pool) => pool.name === name)?.devices[0];
  }
  const candidates = root !== undefined && onDevice(root) ? [root] : mounts.filter(onDevice);
  const found = candidates.map((mount) => deviceOf(devices, mount)).find((name) => name !== undefined);
  if (found === undefined && candidates.length > 0) fails('the kernel does not know the device of /');
  return found === undefined ? undefined : `/dev/${found.replaceAll('!', '/')}`;
};

/** A loop device that stands for a drive and of which udev knows a content. */
const loopDevice = async ({ udev, loopDrives }: SelfTestPorts, devices: readonly KernelDevice[]): Promise<string | undefined> => {
  const drives = devices.filter((device) => isDriveDevice(device, loopDrives) && device.backingFile !== null);
  const known = await udev.read(drives);
  const told = drives.find(({ name }) => {
    const { ID_FS_TYPE, ID_PART_TABLE_TYPE } = known.get(name)?.properties ?? {};
    return ID_FS_TYPE !== undefined || ID_PART_TABLE_TYPE !== undefined;
  });
  return told === undefined ? undefined : `/dev/${told.name}`;
};

/** A drive that carries something is read in a child, as all probes are: with DevicePolicy= it would look blank. */
const signature = async (ports: SelfTestPorts): Promise<void> => {
  const devices = await ports.sysfs.kernelDevices();
  const path = await (ports.loopDrives.length > 0 ? loopDevice(ports, devices) : rootDevice(ports, devices));
  if (path === undefined) return;
  const found = await ports.run('blkid', ['-p', '-o', 'export', path], DEADLINE_MS);
  if (!/^(?:PT)?TYPE=\S/m.test(found)) fails(`${path} is in use and looks as if it carried nothing`);
};

const CHECKS: readonly [what: string, check: (ports: SelfTestPorts) => Promise<void>][] = [
  ['its own capabilities', capabilities],
  ['the swap space', swaps],
  ['the software RAIDs', mdstat],
  ["the host's first process", firstProcess],
  ["the host's mounts in its own view", ownView],
  ["udev's database", database],
  ['the signatures of a drive', signature],
];

const reason = (error: unknown): string => {
  if (error instanceof CommandError) return `a program failed (${error.reason})`;
  if (error instanceof Error && 'code' in error && 'path' in error) return `${error.path}: ${error.code}`;
  return error instanceof Error ? error.message : 'an unexpected error';
};

export const createSelfTest = (ports: SelfTestPorts): SelfTest => {
  const checks = CHECKS.map(([what, check]) => {
    const reading = createFreshReading(ports.clock, DEADLINE_MS, () => check(ports));
    return () =>
      reading().then(
        () => '',
        (error: unknown) => `${what} (${reason(error)})`,
      );
  });
  return {
    run: async () => {
      const failed = (await Promise.all(checks.map((check) => check()))).filter((one) => one !== '');
      return failed.length === 0 ? '' : `The agent cannot see ${failed.join('; ')}; so it does nothing to drives.`;
    },
  };
};
