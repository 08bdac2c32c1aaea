/**
 * T13 on real loop devices: drives are pulled and plugged in under each other's names, or changed, between the steps of a confirmed format.
 * The program that ships writes; after each run every drive's content is what it was, but for the one that was confirmed.
 */
import { createHash } from 'node:crypto';
import { closeSync, copyFileSync, existsSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { createAsk } from '#agent/disks/format/ask';
import { createConfirmations } from '#agent/disks/format/confirmations';
import { createFollow } from '#agent/disks/format/follow';
import { createFormatting } from '#agent/disks/format/formatting';
import { loadJobs } from '#agent/disks/format/jobs';
import type { Drive } from '#agent/disks/inventory/drive';
import { systemClock } from '#agent/ports/clock';
import type { DriveFormat } from '#agent/ports/drive-format';
import { openStore } from '#agent/ports/store';
import { createSysfs } from '#agent/ports/sysfs';
import { createTurn } from '#agent/turn';
import { FelhomError } from '#shared/errors';
import { randomly } from '../../unit/agent/disks/format/race-host.ts';
import { madeDrive, madeFilesystem, madeInventory, madeRecord } from '../../unit/agent/disks/made.ts';
import { formatsIn } from './formatting.ts';
import { type Lab, labMissing, outcome, run, withLab } from './lab.ts';

const RUNS = process.env.FELHOM_SOAK === '1' ? 1_000 : 100;

// Real devices and programs: on a busy machine a run may take a second.
vi.setConfig({ testTimeout: RUNS * 4_000 });

const MB = 19;
/** Where a run writes what stands for the drive's content; nothing else is looked at to tell drives apart. */
const MARK_AT = 4 * 1024 ** 2;

const hashOf = (file: string): string => createHash('sha1').update(readFileSync(file)).digest('hex');

const markOf = (device: string): string => {
  const fd = openSync(device, 'r');
  try {
    const bytes = Buffer.alloc(64);
    readSync(fd, bytes, 0, 64, MARK_AT);
    return bytes.toString('latin1').replace(/\0+$/, '');
  } finally {
    closeSync(fd);
  }
};

/** By whoever asks for no lock. */
const setMark = (device: string, text: string): void => {
  const fd = openSync(device, 'r+');
  try {
    writeSync(fd, Buffer.from(text.padEnd(64, '\0'), 'latin1'), 0, 64, MARK_AT);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** Two places for drives, and three drives. */
const benchIn = async (lab: Lab) => {
  const random = randomly(7);
  const clean = join(lab.dir, 'clean.img');
  await run('truncate', '-s', `${MB}M`, clean);
  await run('mkfs.ext4', '-q', '-F', '-L', 'photos', clean);
  const files = ['one', 'two', 'three'].map((name) => join(lab.dir, `${name}.img`));
  for (const file of files) copyFileSync(clean, file);
  const devices: string[] = [];
  for (const file of files.slice(0, 2)) devices.push(await run('losetup', '--find', '--show', file));
  const [sdb = '', sdc = ''] = devices;
  lab.undo(async () => {
    for (const device of devices) await outcome('losetup', '-d', device);
  });
  const at = new Map([
    [sdb, files[0]],
    [sdc, files[1]],
  ]);
  const hashes = new Map<string, string>();
  let marks = 0;
  const newMark = (file: string): string => {
    marks += 1;
    return `${files.indexOf(file) + 1}:${marks}`;
  };

  const pull = async (device: string): Promise<void> => {
    if (existsSync(`/sys/block/${basename(device)}/${basename(device)}p1`)) await outcome('partx', '-d', device);
    await outcome('losetup', '-d', device);
    at.delete(device);
  };
  /** The kernel gives no name away that somebody has open. */
  const plug = async (device: string, file: string): Promise<void> => {
    if ([...at.values()].includes(file)) return;
    if ((await outcome('losetup', device, file)).exit === 0) at.set(device, file);
  };
  const free = (): string | undefined => files.find((file) => ![...at.values()].includes(file));

  return {
    ...{ random, files, sdb, at },
    /** As at first: in their places, with content that none ever had. */
    reset: async (): Promise<void> => {
      const isFormatted = files.map((file) => !/^\d:/.test(markOf(file)) || hashes.get(file) !== hashOf(file));
      for (const [index, device] of devices.entries())
        if (at.get(device) !== files[index] || isFormatted[index]) await pull(device);
      for (const [index, file] of files.entries()) if (isFormatted[index]) copyFileSync(clean, file);
      for (const [index, device] of devices.entries()) await plug(device, files[index] ?? '');
      for (const [index, file] of files.entries()) {
        if (index > 0 && !isFormatted[index]) continue;
        setMark(devices[index] ?? file, newMark(file));
        hashes.set(file, hashOf(file));
      }
    },
    /** Numbers of the drives that are not what they were. */
    changed: (): number[] => files.flatMap((file, index) => (hashOf(file) === hashes.get(file) ? [] : [index + 1])),
    happenings: [
      async () => undefined,
      () => pull(sdb),
      async () => {
        const [one, other] = [at.get(sdb), at.get(sdc)];
        await pull(sdb);
        await pull(sdc);
        await plug(sdb, other ?? free() ?? '');
        await plug(sdc, one ?? free() ?? '');
      },
      async () => {
        const next = free();
        await pull(sdb);
        await plug(sdb, next ?? '');
      },
      async () => {
        const same = at.get(sdb);
        await pull(sdb);
        await plug(sdb, same ?? '');
      },
    ],
    /** Of a drive that nobody has locked. */
    change: (device: string): void => {
      const file = at.get(device);
      if (file === undefined) return;
      setMark(device, newMark(file));
      hashes.set(file, hashOf(file));
    },
    devices,
  };
};
type Bench = Awaited<ReturnType<typeof benchIn>>;

/** What the marks of the drives that are plugged in tell, with the kernel's own word on which plugging in it is. */
const inventoryOf = async ({ devices, at }: Bench) => {
  const kernel = await createSysfs().kernelDevices();
  const drives = devices.flatMap((file): Drive[] => {
    const device = kernel.find(({ name }) => `/dev/${name}` === file);
    const mark = at.has(file) && device?.sizeBytes ? markOf(file) : '';
    if (device === undefined || mark === '') return [];
    const { name } = device;
    return [
      madeDrive({
        ...{ name, device, record: madeRecord({ id: Number(mark.split(':')[0]) }), dataBearing: true },
        identity: { serial: 'S1', sizeBytes: device.sizeBytes, keys: ['serial:one'] },
        filesystems: [madeFilesystem({ device: name, label: mark })],
      }),
    ];
  });
  return madeInventory({ drives });
};

/** A step of the format, before which something may happen. */
const STEPS = ['confirm', 'hold', 'look', 'permit', 'go', 'write'] as const;
type Step = (typeof STEPS)[number];

const agentOver = async (lab: Lab, bench: Bench, before: (step: Step) => Promise<void>) => {
  const clock = systemClock;
  const store = await openStore(join(lab.dir, 'felhom.db'));
  lab.undo(() => store.close());
  await store.write({
    sql: "INSERT INTO drives (id, name, model, serial, wwn, transport, first_seen_at, last_seen_at) VALUES (1, '', '', '', '', '', 0, 0), (2, '', '', '', '', '', 0, 0), (3, '', '', '', '', '', 0, 0)",
  });
  const jobs = await loadJobs({ store, clock });
  const real = formatsIn(lab);
  let looks = 0;
  const driveFormat: DriveFormat = {
    ...real,
    hold: async (order) => {
      await before('hold');
      const held = await real.hold(order);
      looks = 1;
      return {
        ...held,
        go: async () => {
          await before('go');
          await held.go();
          await before('write');
        },
      };
    },
  };
  const current = {
    fresh: async () => {
      if (looks === 1) await before('look');
      looks = 0;
      return inventoryOf(bench);
    },
    last: () => null,
    inventory: async () => ({ inventory: await inventoryOf(bench), ageMs: 0 }),
    changed: () => undefined,
  };
  const confirmations = createConfirmations({ store, clock, boot: { bootId: 'boot', ms: () => Math.floor(clock.monotonic()) } });
  const formatting = createFormatting({
    ...{ clock, current, jobs, driveFormat, store, bootId: 'boot', inTurn: createTurn(), journal: () => undefined },
    inUse: { holders: async () => [] },
    mappedRoot: async () => ({ uid: 0, gid: 0 }),
    writesOff: () => '',
  });
  const follow = createFollow({
    ...{ store, driveFormat, jobs, current, isStarting: formatting.isStarting, journal: () => undefined },
    // Twenty times as often: each run waits for it.
    clock: { ...clock, after: (ms, call) => clock.after(ms / 20, call) },
    records: {
      drives: () => [],
      reborn: async (_drive, _birth, along) => void (await store.write(...along)),
      remember: async (_drive, _role, along) => void (await store.write(...along)),
    },
    problems: { raise: () => undefined, clear: () => undefined, list: () => [] },
  });
  follow.begin();
  lab.undo(follow.close);
  const format = createAsk({
    ...{ clock, current, formatting, driveFormat, hostScope: 'host', writesOff: () => '' },
    confirmations: {
      ...confirmations,
      holds: async (...asked) => {
        await before('permit');
        return confirmations.holds(...asked);
      },
    },
    records: { assignments: () => [] },
    settings: () => ({ filesystems: ['ext4'] }),
    claims: () => ({ guests: [101], enrolled: [101], instances: new Map([[101, 'a']]) }),
    openOp: async () => expect.fail('none of these is the host’s'),
  });
  return { format, jobs };
};

describe.skipIf(labMissing !== '')(`format among changing drives${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test(`${RUNS} confirmed formats write to no other drive than the confirmed one`, () =>
    withLab(async (lab) => {
      const bench = await benchIn(lab);
      const { random, sdb } = bench;
      let planned = new Map<Step, () => Promise<unknown>>();
      const { format, jobs } = await agentOver(lab, bench, async (step) => {
        await planned.get(step)?.();
      });
      const came = new Map<string, number>();
      for (let each = 1; each <= RUNS; each += 1) {
        await bench.reset();
        planned = new Map();
        const id = await format(101, { device: sdb, fstype: 'ext4' }).then(
          () => expect.fail('it was not asked'),
          (error: FelhomError) => error.details.needsConfirmation?.durableId ?? '',
        );
        const step = STEPS[random(STEPS.length)] ?? 'confirm';
        const isLocked = STEPS.indexOf(step) > STEPS.indexOf('hold');
        const act =
          random(5) === 0 && !isLocked ? async () => bench.change(sdb) : (bench.happenings[random(5)] ?? (async () => undefined));
        planned = new Map([[step, act]]);
        if (step === 'confirm') await act();
        const what = await format(101, { device: sdb, fstype: 'ext4', confirmed: true, durable_id: id }).then(
          ({ formatted }) => (formatted ? 'formatted' : 'under way'),
          (error: unknown) => (error instanceof FelhomError ? error.code : `not a refusal: ${String(error)}`),
        );
        const changed = bench.changed();
        // Pulled out while it was being written, it is half written: the confirmed one, and no other.
        if (what === 'formatted') expect([each, step, changed]).toEqual([each, step, [1]]);
        else if (what !== 'format-failed') expect([each, step, what, changed]).toEqual([each, step, what, []]);
        else expect([each, step, changed.filter((one) => one !== 1)]).toEqual([each, step, []]);
        came.set(what, (came.get(what) ?? 0) + 1);
      }
      expect(jobs.running()).toEqual([]);
      // Enough of both for it to say something.
      expect(came.get('formatted')).toBeGreaterThan(RUNS / 50);
      expect(RUNS - (came.get('formatted') ?? 0)).toBeGreaterThan(RUNS / 4);
      for (const what of came.keys()) expect(what).not.toMatch(/not a refusal|under way/);
    }));
});
