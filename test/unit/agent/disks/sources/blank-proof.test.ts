/** When a drive is read to its end, what comes of it, and how long that holds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Drive } from '#agent/disks/inventory/drive';
import { type BlankProofPorts, createBlankProofs } from '#agent/disks/sources/blank-proof';
import { DriveCheckError, type ReadWhole, type Zeros } from '#agent/ports/drive-check';
import { openStore, type Store } from '#agent/ports/store';
import { fakeClock, settle } from '../../fake-clock.ts';
import { because, madeDevice, madeDrive, madeInventory } from '../made.ts';

const MIB = 1024 ** 2;
const SIZE = 100 * MIB;

interface Call extends ReadWhole {
  file: string;
  end: (result: Zeros | Error) => void;
}

let dir = '';
let store: Store;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-blank-'));
  store = await openStore(join(dir, 'state.db'));
});
beforeEach(() => store.write({ sql: 'DELETE FROM blank_proofs' }));
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const setup = async (ports: Partial<BlankProofPorts> = {}) => {
  const { clock, advance } = fakeClock();
  const world = { diskseq: 7, written: 40, busy: false, asleep: false, clean: true };
  const calls: Call[] = [];
  const said: string[] = [];
  const proofs = createBlankProofs({
    clock,
    journal: (_level, sentence) => said.push(sentence),
    store,
    bootId: async () => 'boot-1',
    check: {
      zeros: (file, _size, options) =>
        new Promise((resolve, reject) => {
          const end = (result: Zeros | Error) => (result instanceof Error ? reject(result) : resolve(result));
          options.signal.addEventListener('abort', () => end(new DriveCheckError('zeros', 'stopped', 'stopped')));
          calls.push({ file, ...options, end });
        }),
    },
    counters: async () => ({ diskseq: world.diskseq, sectorsWritten: world.written }),
    isAsleep: async () => world.asleep,
    isClean: () => world.clean,
    busy: () => world.busy,
    ...ports,
  });
  const device = () => madeDevice({ diskseq: world.diskseq, sectorsWritten: world.written, sizeBytes: SIZE });
  const drive = (facts: Partial<Drive> = {}) => ({ ...madeDrive(), ...facts, device: { ...device(), ...facts.device } });
  const tick = async (...drives: Drive[]) => {
    proofs.tick(madeInventory({ drives }));
    await idle();
  };
  const state = () => proofs.states([device()]).get('sdb');
  // The agent has been running for a while.
  for (let turns = 0; turns < 3; turns += 1) await idle();
  return { proofs, calls, said, world, device, drive, tick, state, advance };
};

/** The database is another thread. */
const idle = async () => {
  await settle();
  await store.all('SELECT 1');
  await settle();
};

const BLANK: Zeros = { blank: true, firstDataAt: null };
const rows = () => store.all<Record<string, unknown>>('SELECT diskseq, blank, first_data_at, sectors_written FROM blank_proofs');

describe('a drive is proved blank', () => {
  test('when all of it was read; and that is known after a restart of the agent, not of the host', async () => {
    const { tick, drive, calls, state } = await setup();
    expect(state()).toEqual({ state: 'unread' });
    await tick(drive());
    expect(calls).toMatchObject([{ file: '/dev/sdb', from: 0 }]);
    expect(state()).toEqual({ state: 'reading', readFraction: 0 });
    calls[0]?.onProgress(25 * MIB);
    expect(state()).toEqual({ state: 'reading', readFraction: 0.25 });
    calls[0]?.end(BLANK);
    await idle();
    expect(state()).toEqual({ state: 'proved' });
    const restarted = await setup();
    await idle();
    expect(restarted.state()).toEqual({ state: 'proved' });
    const rebooted = await setup({ bootId: async () => 'boot-2' });
    await idle();
    expect(rebooted.state()).toEqual({ state: 'unread' });
    expect(await rows()).toEqual([]);
  });

  test('no longer when one sector was written, or it was plugged in anew, or has another size, or nobody counts', async () => {
    const { tick, drive, calls, proofs, device } = await setup();
    await tick(drive());
    calls[0]?.end(BLANK);
    await idle();
    const state = (facts: Partial<ReturnType<typeof device>>) => proofs.states([{ ...device(), ...facts }]).get('sdb')?.state;
    expect(state({})).toBe('proved');
    expect(state({ sectorsWritten: 41 })).toBe('unread');
    expect(state({ diskseq: 8 })).toBe('unread');
    expect(state({ sizeBytes: 2 * SIZE })).toBe('unread');
    expect(state({ sectorsWritten: null })).toBe('unread');
  });

  test('never when it was written to while it was read', async () => {
    const { tick, drive, calls, world, state } = await setup();
    await tick(drive());
    world.written = 41;
    calls[0]?.end(BLANK);
    await idle();
    expect(state()).toEqual({ state: 'unread' });
    expect(await rows()).toEqual([]);
    await tick(drive());
    expect(calls).toHaveLength(2);
  });

  test('never again once somebody had it in use, whatever the kernel counted', async () => {
    const { tick, drive, calls, state } = await setup();
    await tick(drive());
    calls[0]?.end(BLANK);
    await idle();
    const holder = { kind: 'guest', sentence: 'x', vmid: 101, pid: 1 } as const;
    await tick(drive({ holders: [holder], state: 'in-use' }));
    expect(state()).toEqual({ state: 'unread' });
    expect(await rows()).toEqual([]);
  });
});

test('the first byte that is not zero is told, and nothing is read twice', async () => {
  const { tick, drive, calls, state } = await setup();
  await tick(drive());
  calls[0]?.end({ blank: false, firstDataAt: 4097 });
  await idle();
  expect(state()).toEqual({ state: 'data', at: 4097 });
  await tick(drive());
  expect(calls).toHaveLength(1);
  expect(await rows()).toEqual([{ diskseq: 7, blank: 0, first_data_at: 4097, sectors_written: 40 }]);
});

test('a drive that cannot be read to its end is not blank, and says so', async () => {
  const { tick, drive, calls, state, said } = await setup();
  await tick(drive());
  calls[0]?.end(new DriveCheckError('zeros', 'failed', 'EIO: i/o error, read', 'EIO'));
  await idle();
  expect(state()).toEqual({ state: 'unreadable' });
  expect(said).toEqual(['A drive that looks empty could not be read to its end.']);
  await tick(drive());
  expect(calls).toHaveLength(1);
});

test('one that hung is tried again much later', async () => {
  const { tick, drive, calls, state, advance } = await setup();
  await tick(drive());
  calls[0]?.end(new DriveCheckError('zeros', 'hung', 'late'));
  await idle();
  expect(state()).toEqual({ state: 'unread' });
  await tick(drive());
  expect(calls).toHaveLength(1);
  await advance(3_600_000);
  await tick(drive());
  expect(calls).toHaveLength(2);
});

describe('is not begun', () => {
  const part = { name: 'sdb1', numbers: '8:17', sizeBytes: 10, startBytes: 0, holders: [] };
  test.each<[string, Partial<Drive>]>([
    ['system', { role: 'system' }],
    ['backup', { role: 'backup' }],
    ['in use', { state: 'in-use' }],
    ['asleep', { state: 'asleep' }],
    ['held', { holders: [{ kind: 'process', sentence: '', vmid: null, pid: 1 }] }],
    ['with lasting reasons', { reasons: [because('backup', 'x', true)] }],
    ['with a twin', { twins: ['sdc'] }],
    ['with partitions', { device: madeDevice({ partitions: [part] }) }],
  ])('with a drive that is %s', async (_what, facts) => {
    const { tick, drive, calls } = await setup();
    await tick(drive(facts));
    expect(calls).toEqual([]);
  });

  test.each<[string, Partial<Awaited<ReturnType<typeof setup>>['world']>]>([
    ['a backup runs', { busy: true }],
    ['the drive sleeps', { asleep: true }],
    ['something was found on it', { clean: false }],
    ['another has its name by now', { diskseq: 8 }],
  ])('while %s', async (_why, facts) => {
    const { tick, drive, calls, world } = await setup();
    const now = drive();
    Object.assign(world, facts);
    await tick(now);
    expect(calls).toEqual([]);
  });

  test('where the kernel does not count', async () => {
    const { tick, drive, calls } = await setup({ counters: async () => ({ diskseq: 7, sectorsWritten: null }) });
    await tick(drive());
    expect(calls).toEqual([]);
  });

  test('with a second drive beside the first', async () => {
    const { tick, drive, calls } = await setup();
    const other = madeDrive({ name: 'sdc', device: { diskseq: 9 } });
    await tick(drive(), other);
    await tick(drive(), other);
    expect(calls).toHaveLength(1);
  });
});

describe('a reading', () => {
  test('makes way for a backup within two seconds, and goes on where it was', async () => {
    const { tick, drive, calls, world, advance, state } = await setup();
    await tick(drive());
    calls[0]?.onProgress(30 * MIB + 5);
    world.busy = true;
    await advance(2_000);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(state()).toEqual({ state: 'reading', readFraction: 0.3 });
    await tick(drive());
    expect(calls).toHaveLength(1);
    world.busy = false;
    await tick(drive());
    expect(calls[1]).toMatchObject({ from: 30 * MIB });
    calls[1]?.end(BLANK);
    await idle();
    expect(state()).toEqual({ state: 'proved' });
  });

  test('begins anew when something was written while it was paused', async () => {
    const { tick, drive, calls, world, advance } = await setup();
    await tick(drive());
    calls[0]?.onProgress(30 * MIB);
    world.busy = true;
    await advance(2_000);
    Object.assign(world, { busy: false, written: 41 });
    await tick(drive());
    expect(calls[1]).toMatchObject({ from: 0 });
    expect(await rows()).toEqual([]);
  });

  test.each<[string, (drive: Drive) => Drive[]]>([
    ['gone', () => []],
    ['in use', (drive) => [{ ...drive, state: 'in-use' }]],
    ['another one', (drive) => [{ ...drive, device: { ...drive.device, diskseq: 8 } }]],
  ])('ends when its drive is %s', async (_what, change) => {
    const { tick, drive, calls, state, proofs } = await setup();
    await tick(drive());
    await tick(...change(drive()));
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(state()).toEqual({ state: 'unread' });
    proofs.close();
  });

  test('ends with the agent', async () => {
    const { tick, drive, calls, proofs } = await setup();
    await tick(drive());
    proofs.close();
    expect(calls[0]?.signal.aborted).toBe(true);
    await tick(drive());
    expect(calls).toHaveLength(1);
  });

  test('is tried another time where one that was stopped still hangs', async () => {
    const { tick, drive, calls } = await setup();
    await tick(drive());
    calls[0]?.onProgress(10 * MIB);
    calls[0]?.end(new DriveCheckError('zeros', 'stuck', 'an earlier one still hangs'));
    await idle();
    await tick(drive());
    expect(calls[1]).toMatchObject({ from: 10 * MIB });
  });
});
