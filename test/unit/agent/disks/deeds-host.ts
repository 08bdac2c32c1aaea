/** A host on which drives are mounted in memory only: what is done to it, in order, and what can go wrong. */

import { createDeeds, type DeedsPorts } from '#agent/disks/deeds/deeds';
import type { Assignment } from '#agent/disks/inventory/assignment';
import type { Drive, DriveRecord, Holder } from '#agent/disks/inventory/drive';
import type { Evidence } from '#agent/disks/inventory/evidence';
import type { Current } from '#agent/disks/known/current';
import type { NewProblem } from '#agent/health/problems';
import type { DeviceUser } from '#agent/ports/drive-check';
import type { MountSpec } from '#agent/ports/drive-mounts';
import type { KernelDevice } from '#agent/ports/sysfs';
import type { Mount } from '#shared/mountinfo';
import type { AssignDisk } from '#shared/wire/disks';
import { fakeClock } from '../fake-clock.ts';
import { madeDrive, madeEvidence, madeFilesystem, madeInventory, madeRecord } from './made.ts';

export const MOUNT_ROOT = '/mnt/felhom';
export const UUID = '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b';
export const INSTANCE = 'net:one';

/** With one file system on its one partition. */
export const userDrive = (facts: Partial<Drive> = {}, uuid = UUID): Drive => {
  const { name = 'sdb' } = facts;
  const minor = 16 * (name.charCodeAt(2) - 97);
  const part = { name: `${name}1`, numbers: `8:${minor + 1}`, sizeBytes: 1, startBytes: 0, holders: [] };
  const drive = madeDrive({
    device: { name, numbers: `8:${minor}`, partitions: [part] },
    filesystems: [madeFilesystem({ device: part.name, numbers: part.numbers, uuid })],
    record: madeRecord(),
  });
  return { ...drive, ...facts, device: { ...drive.device, ...facts.device } as KernelDevice };
};

export interface HostState {
  drives: Drive[];
  evidence: Evidence;
  /** As the kernel has them, plugged in or not. */
  devices: KernelDevice[];
  records: DriveRecord[];
  assignments: Assignment[];
  mounts: Mount[];
  directories: Set<string>;
  users: DeviceUser[];
  instances: Map<number, string>;
  /** Answers of the exclusive opening, in turn; `free` when there are none left. */
  exclusive: ('free' | 'busy')[];
  /** By name of a call: what it throws, once. */
  failures: Map<string, Error>;
  /** Who has the drive in use, look by look; then nobody. */
  holders: Holder[][];
  writesOff: string;
  owner: { uid: number; gid: number };
}

/** What udev says of a drive: as much as the drive says of itself. */
const udevOf = ({ name, identity: { serial, wwn } }: Drive) =>
  [name, { properties: { ID_SERIAL: serial, ID_WWN: wwn }, links: [] }] as const;

export const deedsHost = (change: Partial<HostState> = {}) => {
  const drives = change.drives ?? [userDrive()];
  const state: HostState = {
    drives,
    evidence: madeEvidence({ udev: { known: true, value: new Map(drives.map(udevOf)) } }),
    devices: drives.map(({ device }) => device),
    records: drives.flatMap(({ record }) => record ?? []),
    assignments: [],
    mounts: [],
    directories: new Set(),
    users: [],
    instances: new Map([
      [101, INSTANCE],
      [105, 'net:other'],
    ]),
    exclusive: [],
    failures: new Map(),
    holders: [],
    writesOff: '',
    owner: { uid: 0, gid: 0 },
    ...change,
  };
  const { clock, advance } = fakeClock();
  /** What was done, in order: `mount /mnt/felhom/photos`. */
  const done: string[] = [];
  const problems = new Map<string, NewProblem>();
  let lastMount = 100;

  const act = async (what: string, subject: string, then: () => void = () => undefined): Promise<void> => {
    done.push(`${what} ${subject}`);
    const failure = state.failures.get(what);
    state.failures.delete(what);
    if (failure !== undefined) throw failure;
    then();
  };
  const mountAt = (point: string, device: string, fstype: string, options: string): void => {
    const numbers = state.devices
      .flatMap((one) => [one, ...one.partitions])
      .find(({ name }) => `/dev/${name}` === device)?.numbers;
    if (state.mounts.some((mount) => mount.point === point)) return;
    lastMount += 1;
    const facts = { id: String(lastMount), parent: '1', root: '/', fstype, options: options.split(',') };
    state.mounts.push({ ...facts, point, source: device, device: numbers ?? '0:99' });
  };
  const unmountAt = (point: string): void => {
    state.mounts = state.mounts.filter((mount) => mount.point !== point);
  };
  const inventory = () =>
    madeInventory({
      drives: state.drives.map((drive) => ({
        ...drive,
        record: state.records.find(({ id }) => id === drive.record?.id) ?? null,
      })),
      missing: state.evidence.kernel.known ? [] : [{ source: 'kernel', why: 'no' }],
    });
  const current: Pick<Current, 'fresh' | 'last' | 'changed' | 'inventory'> = {
    fresh: async () => inventory(),
    inventory: async () => ({ inventory: inventory(), ageMs: 0 }),
    last: () => ({ inventory: inventory(), evidence: state.evidence }),
    changed: () => undefined,
  };
  const pointFor = (vmid: number, name: string): string => `${MOUNT_ROOT}/.guests/${vmid}/${name}`;

  const ports: DeedsPorts = {
    clock,
    journal: () => undefined,
    current,
    store: {
      write: async (...statements) => {
        await act('audit', String(statements[0]?.values?.[2] ?? ''));
        return [];
      },
    },
    records: {
      drives: () => state.records,
      assignments: () => state.assignments,
      setOwner: (id, owner) =>
        act('owner', owner === null ? 'nobody' : String(owner.vmid), () => {
          state.records = state.records.map((record) => (record.id === id ? { ...record, owner } : record));
        }),
      saveAssignment: (row) =>
        act('row', row.state, () => {
          state.assignments = [...state.assignments.filter(({ mountPoint }) => mountPoint !== row.mountPoint), row];
        }),
      setAssignmentState: (mountPoint, to) =>
        act('row', to, () => {
          state.assignments = state.assignments.map((row) => (row.mountPoint === mountPoint ? { ...row, state: to } : row));
        }),
      removeAssignment: (mountPoint) =>
        act('row', 'removed', () => {
          state.assignments = state.assignments.filter((row) => row.mountPoint !== mountPoint);
        }),
    },
    mountRoot: MOUNT_ROOT,
    settings: () => ({ filesystems: ['ext4', 'xfs', 'btrfs', 'exfat'] }),
    writesOff: () => state.writesOff,
    claims: () => ({ guests: null, enrolled: [101], instances: state.instances }),
    inUse: { holders: async () => state.holders.shift() ?? [] },
    check: {
      exclusive: async () => state.exclusive.shift() ?? 'free',
      users: async () => state.users,
      flush: (device) => act('flush', device),
    },
    guestOf: async () => null,
    guests: {
      pointFor,
      prepare: (vmid) => act('prepare', String(vmid)),
      shown: async (_vmid, name) => ({ guestPath: `/mnt/felhom/${name}`, note: '' }),
      mappedRoot: async () => ({ uid: 100_000, gid: 100_000 }),
    },
    mounts: {
      seen: async () => state.mounts,
      keep: (spec: MountSpec) => act('keep', spec.link),
      drop: (spec) => act('drop', spec.link),
      mount: (spec, device) => act('mount', spec.mountPoint, () => mountAt(spec.mountPoint, device, spec.fstype, spec.options)),
      show: (spec) =>
        act('show', spec.guestPoint, () => {
          const from = state.mounts.find(({ point }) => point === spec.mountPoint);
          if (from !== undefined) mountAt(spec.guestPoint, from.source, from.fstype, spec.options);
        }),
      unmount: (spec) =>
        act('unmount', spec.mountPoint, () => {
          unmountAt(spec.guestPoint);
          unmountAt(spec.mountPoint);
        }),
      cutOff: (spec) =>
        act('cutOff', spec.mountPoint, () => {
          unmountAt(spec.guestPoint);
          unmountAt(spec.mountPoint);
        }),
    },
    directories: {
      check: async () => undefined,
      make: (path) => act('make', path, () => void state.directories.add(path)),
      protect: async (path) => {
        await act('protect', path);
        return true;
      },
      remove: (path) => act('remove', path, () => void state.directories.delete(path)),
    },
    sysfs: { kernelDevices: async () => state.devices, btrfsMembers: async () => [] },
    run: async (name, args) => {
      if (name === 'stat') return `${state.owner.uid} ${state.owner.gid}\n`;
      await act(name, args.join(' '));
      return '';
    },
    problems: {
      raise: (problem) => void problems.set(`${problem.code} ${problem.vmid}`, problem),
      clear: (code, vmid) => void problems.delete(`${code} ${vmid}`),
      list: () => [...problems.values()].map((problem) => ({ ...problem, severity: 'warning', since: 0 })),
    },
  };
  const deeds = createDeeds(ports);
  return {
    state,
    ports,
    done,
    problems,
    advance,
    deeds,
    assign: (body: Partial<AssignDisk> = {}, vmid = 101) =>
      deeds.assign(vmid, { uuid: UUID, where: `${MOUNT_ROOT}/photos`, fstype: 'ext4', ...body }),
    eject: (where = `${MOUNT_ROOT}/photos`, vmid = 101) => deeds.eject(vmid, { where }),
  };
};
