/**
 * What is on a drive × what the host's sources tell of it: the role and the verdict on data of each cell, in matrix.txt, for people to read.
 * The drives are real and are read by what reads them on a host; that a source is missing is then told instead of its answer.
 */
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BlankState } from '#agent/disks/inventory/data';
import type { Drive } from '#agent/disks/inventory/drive';
import type { Evidence, Known, Look, Probe, SeenMount } from '#agent/disks/inventory/evidence';
import { takenKey } from '#agent/disks/inventory/identity';
import { type InventoryContext, inventoryOf } from '#agent/disks/inventory/inventory';
import { lookablesIn, probeOf } from '#agent/disks/sources/probe-of';
import { systemClock } from '#agent/ports/clock';
import { runForOutcome } from '#agent/ports/command';
import { createDriveCheck, type DriveCheck } from '#agent/ports/drive-check';
import { createProbe } from '#agent/ports/probe';
import { createSysfs, type KernelDevice } from '#agent/ports/sysfs';
import { createUdevDb } from '#agent/ports/udev-db';
import { bundleSources } from '../../chaos/bundle.ts';
import { madeEvidence, madeRecord } from '../../unit/agent/disks/made.ts';
import { kernelMounts, type Lab, labMissing, programsMissing, withLab } from './lab.ts';
import { CONTENTS, type Content } from './signatures.ts';

const TABLE = join(import.meta.dirname, 'matrix.txt');

/** One drive, as it was really read. */
interface Row {
  name: string;
  evidence: Evidence;
  context: InventoryContext;
  drive: string;
  probe: Probe;
  blank: BlankState;
  /** Whether what was found by a look was really looked at: not where this kernel has no driver. */
  looked: boolean;
}

const known = <T>(value: T): Known<T> => ({ known: true, value });
const UNKNOWN = { known: false, why: 'It did not answer.' } as const;

const probes = createProbe(runForOutcome);
let check: DriveCheck;

const readProbe = async (device: KernelDevice): Promise<Probe> => {
  const read = [];
  for (const { name, sizeBytes } of [device, ...device.partitions])
    read.push({ name, probed: await probes.read(name, sizeBytes ?? 0) });
  return probeOf(device, read);
};

/** Where the kernel has no driver the table is to be the same as elsewhere, so that the look is taken to have found nothing. */
const readLooks = async (probe: Probe, device: KernelDevice): Promise<{ looks: Map<string, Known<Look>>; looked: boolean }> => {
  const looks = new Map<string, Known<Look>>();
  let looked = true;
  for (const { device: name, fstype } of lookablesIn(probe, device)) {
    const able = await kernelMounts(fstype);
    looked &&= able;
    looks.set(name, known(able ? await check.look(`/dev/${name}`, fstype) : { found: 'nothing' }));
  }
  return { looks, looked };
};

const readBlank = async (probe: Probe, { name, sizeBytes }: KernelDevice): Promise<BlankState> => {
  if (!probe.clean) return { state: 'unread' };
  const stop = new AbortController();
  const { blank, firstDataAt } = await check.zeros(`/dev/${name}`, sizeBytes ?? 0, {
    signal: stop.signal,
    onProgress: () => undefined,
  });
  return blank ? { state: 'proved' } : { state: 'data', at: firstDataAt ?? 0 };
};

const rowOf = async (lab: Lab, { name, mb = 64, make }: Content, index: number): Promise<Row> => {
  const drive = await lab.drive({ name: `d${index}`, mb, model: 'Lab Disk', serial: `LAB${index}` });
  await make(lab, drive);
  await lab.settle(drive);
  const device = (await createSysfs().kernelDevices()).find((one) => one.name === drive.name);
  if (device === undefined) throw new Error(`${drive.name} is not there`);
  const probe = await readProbe(device);
  const { looks, looked } = await readLooks(probe, device);
  return {
    name,
    drive: drive.name,
    probe,
    looked,
    blank: await readBlank(probe, device),
    evidence: madeEvidence({
      kernel: known([device]),
      udev: known(await createUdevDb(lab.udevDir).read([device])),
      probes: new Map([[drive.name, known(probe)]]),
      looks,
    }),
    context: {
      records: [],
      assignments: [],
      protect: [],
      loopDrives: [drive.file],
      mountRoot: '/mnt/felhom',
      blank: new Map(),
    },
  };
};

/** A few at a time: what they wait for is other programs. */
const inTurns = async <T, R>(all: readonly T[], atOnce: number, act: (one: T, index: number) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < all.length; at = next++) results[at] = await act(all[at] as T, at);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
};

interface Told {
  evidence: Evidence;
  context: InventoryContext;
}

const allTold = ({ evidence, context, drive, blank }: Row): Told => ({
  evidence,
  context: { ...context, blank: new Map([[drive, blank]]) },
});

/** All told but for what is changed. */
const but =
  (evidence: (row: Row) => Partial<Evidence>, context: (row: Row) => Partial<InventoryContext> = () => ({})) =>
  (row: Row): Told => {
    const told = allTold(row);
    return { evidence: { ...told.evidence, ...evidence(row) }, context: { ...told.context, ...context(row) } };
  };

const lookOf =
  (look: Known<Look> | null) =>
  ({ evidence: { looks } }: Row): Partial<Evidence> => ({
    looks: new Map(look === null ? [] : [...looks].map(([device]) => [device, look])),
  });

const carrierOf = ({ drive, probe }: Row): string => probe.signatures.find(({ device }) => device !== drive)?.device ?? drive;

const mountOf = (row: Row): SeenMount => ({
  host: true,
  pid: 1,
  mount: {
    ...{ id: '50', parent: '1', root: '/', point: '/mnt/usb', fstype: 'ext4', options: ['rw'] },
    device: '0:99',
    source: `/dev/${carrierOf(row)}`,
  },
});

const proxmox = (facts: object): Partial<Evidence> => ({
  proxmox: known({ node: 'pve1', storages: [], guests: [], pci: [], usb: [], directories: [], ...facts }),
});

const OWNER = { vmid: 101, instance: 'i', since: 1 };

const blankIs = (state: BlankState) =>
  but(
    () => ({}),
    ({ drive }) => ({ blank: new Map([[drive, state]]) }),
  );

const keysOf = (row: Row): readonly string[] => driveOf(allTold(row))?.identity.keys ?? [];

/** Groups of columns: the heading over them, and what each changes. */
const COLUMNS: readonly [group: string, columns: Readonly<Record<string, (row: Row) => Told>>][] = [
  ['', { all: allTold }],
  [
    'without a whole answer of',
    Object.fromEntries(
      (['kernel', 'udev', 'mounts', 'swaps', 'lvm', 'zfs', 'md', 'btrfs', 'host', 'proxmox'] as const).map((source) => [
        source,
        but(() => ({ [source]: UNKNOWN })),
      ]),
    ),
  ],
  [
    'the drive',
    {
      new: but(() => ({ udev: known(new Map()) })),
      unread: but(() => ({ probes: new Map() })),
      asleep: but(({ drive }) => ({ probes: new Map(), asleep: new Set([drive]) })),
      errors: but(({ drive }) => ({ probes: new Map([[drive, UNKNOWN]]) })),
      hangs: but(({ drive }) => ({ notAnswering: new Set([drive]) })),
    },
  ],
  [
    'looked into',
    {
      not: but(lookOf(null)),
      fails: but(lookOf(UNKNOWN)),
      dump: but(lookOf(known({ found: 'vzdump' }))),
      chunks: but(lookOf(known({ found: 'chunks' }))),
    },
  ],
  [
    'read',
    {
      'not ': blankIs({ state: 'unread' }),
      half: blankIs({ state: 'reading', readFraction: 0.5 }),
      zeros: blankIs({ state: 'proved' }),
      data: blankIs({ state: 'data', at: 0 }),
    },
  ],
  [
    'used',
    {
      mount: but((row) => ({ mounts: known([mountOf(row)]) })),
      backup: but((row) => ({
        mounts: known([mountOf(row)]),
        ...proxmox({ storages: [{ type: 'dir', id: 'usb', keys: { path: '/mnt/usb', content: 'backup' } }] }),
      })),
      guest: but(({ drive }) => proxmox({ guests: [{ vmid: 105, type: 'qemu', text: `scsi1: /dev/${drive}` }] })),
      once: but(
        () => ({}),
        (row) => ({ records: [madeRecord({ keys: keysOf(row), role: { role: 'backup', why: 'It was.', since: 1 } })] }),
      ),
      owned: but(
        () => ({}),
        (row) => ({ records: [madeRecord({ keys: keysOf(row), owner: OWNER })] }),
      ),
      taken: but(
        () => ({}),
        (row) => ({
          records: [
            madeRecord({ keys: [...keysOf(row), ...row.probe.signatures.flatMap(({ uuid }) => takenKey(uuid))], owner: OWNER }),
          ],
        }),
      ),
    },
  ],
];
const ALL_COLUMNS = COLUMNS.flatMap(([, columns]) => Object.entries(columns));

const driveOf = ({ evidence, context }: Told): Drive | undefined => inventoryOf(evidence, context).drives[0];

const LETTERS = { system: 'S', backup: 'B', 'user-data': 'u' } as const;
const cell = (drive: Drive | undefined): string =>
  drive === undefined ? '.' : `${LETTERS[drive.role]}${drive.dataBearing ? '+' : '-'}`;

const LEGEND = `What a drive is taken for: by what is on it (one a line), and by what the sources of the host tell of it (one a column).
Made and compared by matrix.test.ts; after a change of the rules: npx vitest run -u test/system/drives/matrix.test.ts, and read the difference.

  S  system         +  counts as carrying data
  B  backup         -  proved to be empty
  u  user-data      .  not listed, since the kernel does not tell of it

  all: every source told all, and a drive without any signature was read to its end. Each further column changes one thing of that.
  the drive: new to udev; not read yet; asleep; read with errors; not answering.
  looked into: not yet; the look failed; it found archives of vzdump, or chunks of a backup server.
  read (only where there is no signature): not to its end; half; all zeros; something is written on it.
  used: mounted by hand; by Proxmox, for backups; by a guest; remembered as a backup drive; owned by a guest;
  owned by a guest that had these very file systems of it mounted.
`;

const NAME_WIDTH = Math.max(...CONTENTS.map(({ name }) => name.length)) + 2;

const headings = (): string[] => {
  const widthOf = (columns: object): number => Object.keys(columns).reduce((sum, name) => sum + name.length + 1, 0);
  const groups = COLUMNS.map(([group, columns]) => `  ${group.padEnd(Math.max(widthOf(columns), group.length))}`);
  const names = COLUMNS.map(([group, columns]) => {
    const line = Object.keys(columns).map((name) => `${name.trim()} `.padEnd(name.length + 1));
    return `  ${line.join('').padEnd(group.length)}`;
  });
  return [groups, names].map((line) => ' '.repeat(NAME_WIDTH) + line.join('').trimEnd());
};

const lineOf = (row: Row): string => {
  const cells = COLUMNS.map(([group, columns]) => {
    const line = Object.entries(columns).map(([name, change]) => cell(driveOf(change(row))).padEnd(name.length + 1));
    return `  ${line.join('').padEnd(group.length)}`;
  });
  return row.name.padEnd(NAME_WIDTH) + cells.join('').trimEnd();
};

/** What is said where all was told, without what differs from run to run. */
const wordsOf = (row: Row): string[] => {
  const drive = driveOf(allTold(row));
  const same = (text = ''): string => text.replaceAll(row.drive, 'sdx').replaceAll('sdxp', 'sdx');
  return [
    `${row.name}:`,
    ...(drive?.reasons ?? []).map(({ sentence }) => `    ${same(sentence)}`),
    `    ${same(drive?.dataReason)}`,
  ];
};

const tableOf = (rows: readonly Row[]): string =>
  [
    LEGEND,
    ...headings(),
    ...rows.map(lineOf),
    '',
    'What is said where all was told: why it has its role, and whether it carries data.',
    '',
    ...rows.flatMap(wordsOf),
    '',
  ].join('\n');

const MISSING =
  labMissing ||
  programsMissing(...'mkfs.xfs mkfs.btrfs mkfs.exfat mkfs.ntfs mkfs.vfat cryptsetup pvcreate sfdisk partx blockdev'.split(' '));

describe.skipIf(MISSING !== '')(`what is on a drive, and what is told of it${MISSING && ` (skipped: ${MISSING})`}`, () => {
  let rows: Row[] = [];
  beforeAll(async () => {
    const program = [process.execPath, await bundleSources('matrix-drive-check', { main: 'agent/drive-check/main.ts' })];
    check = createDriveCheck({ clock: systemClock, program });
    await withLab(async (lab) => {
      rows = await inTurns(CONTENTS, 4, (content, index) => rowOf(lab, content, index));
    });
    // A few seconds where nothing else runs.
  }, 240_000);

  test('is as matrix.txt has it', async () => {
    await expect(tableOf(rows)).toMatchFileSnapshot(TABLE);
  });

  test('nothing with data is ever blank', () => {
    for (const row of rows)
      for (const [column, change] of ALL_COLUMNS) {
        const drive = driveOf(change(row));
        // What the reading to the end told is believed; in the column "zeros" it is made up.
        const isEmpty = row.name === 'blank' || (column === 'zeros' && row.probe.clean);
        if (drive !== undefined && !isEmpty) expect([row.name, column, drive.dataBearing]).toEqual([row.name, column, true]);
      }
    expect(rows.filter(({ blank }) => blank.state === 'proved').map(({ name }) => name)).toEqual(['blank']);
  });

  test('nothing undetermined is ever user-data', () => {
    const sure = ['all', 'dump', 'chunks', 'not ', 'half', 'zeros', 'data', 'mount', 'backup', 'guest', 'once', 'owned', 'taken'];
    for (const row of rows)
      for (const [column, change] of ALL_COLUMNS.filter(([name]) => !sure.includes(name))) {
        const drive = driveOf(change(row));
        const needsNoLook = ['not', 'fails'].includes(column) && row.evidence.looks.size === 0;
        if (drive !== undefined && !needsNoLook) expect([row.name, column, drive.role]).toEqual([row.name, column, 'system']);
      }
  });

  test('without the kernel’s driver a file system is not looked into, and so is the system’s', async () => {
    const blind = rows.filter(({ looked }) => !looked);
    for (const row of blind) {
      const [[device = ''] = []] = row.evidence.looks;
      const fstype = row.probe.signatures.find((one) => one.device === device)?.type ?? '';
      await expect(check.look('/dev/null', fstype), `${row.name} on ${basename(device)}`).rejects.toThrow();
      expect([row.name, driveOf(but(lookOf(UNKNOWN))(row))?.role.toString()]).toEqual([row.name, 'system']);
    }
  });
});
