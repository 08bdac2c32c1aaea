/** Drives proved blank, or not, by reading all of them: what tools that look at known places miss is found. */
import { constants, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BlankState } from '#agent/disks/inventory/data';
import { createBlankProofs } from '#agent/disks/sources/blank-proof';
import { createBlockCounters } from '#agent/ports/block-counters';
import { systemClock } from '#agent/ports/clock';
import { openStore, type Store } from '#agent/ports/store';
import { madeDrive, madeInventory } from '../../unit/agent/disks/made.ts';
import { hungDrive, hungMissing } from './hung.ts';
import { type Lab, type LabDrive, labMissing, outcome, run, withLab } from './lab.ts';
import { deviceOf, driveCheck, probesOf, until } from './touching.ts';

const skipped = (missing: string): string => (missing === '' ? '' : ` (skipped: ${missing})`);
const MIB = 1024 ** 2;

let dir = '';
let store: Store;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-blank-'));
  store = await openStore(join(dir, 'state.db'));
});
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const proving = (lab: Lab) => {
  const { probes, read } = probesOf();
  const proofs = createBlankProofs({
    clock: systemClock,
    journal: () => {},
    store,
    bootId: async () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    check: driveCheck(),
    counters: createBlockCounters(),
    isAsleep: async () => false,
    isClean: (name) => {
      const probe = probes.last(name);
      return probe?.known === true && probe.value.clean;
    },
    busy: () => false,
  });
  lab.undo(() => proofs.close());
  const stateOf = async (drive: LabDrive): Promise<BlankState | undefined> =>
    proofs.states([await deviceOf(drive)]).get(drive.name);
  /** Until something is known of it, as the agent does it: look after look. */
  const proved = async (drive: LabDrive): Promise<BlankState | undefined> => {
    await until(async () => {
      await read(drive);
      const device = await deviceOf(drive);
      proofs.tick(madeInventory({ drives: [{ ...madeDrive({ name: drive.name }), device }] }));
      const state = (await stateOf(drive))?.state;
      return state !== 'unread' && state !== 'reading';
    });
    return stateOf(drive);
  };
  return { proved, stateOf, probes };
};

const write = async (device: string, at: number, bytes: number[]): Promise<void> => {
  const handle = await open(device, 'r+');
  await handle.write(Buffer.from(bytes), 0, bytes.length, at);
  await handle.sync();
  await handle.close();
};

/** What everybody would take for an empty drive. */
const looksEmpty = async ({ device }: LabDrive): Promise<void> => {
  expect(await outcome('blkid', '-p', device)).toEqual({ exit: 2, stdout: '', stderr: '' });
  expect(JSON.parse(await run('wipefs', '--json', '-n', device))).toEqual({ signatures: [] });
};

describe.skipIf(labMissing !== '')(`proving drives blank${skipped(labMissing)}`, () => {
  test('all zeros, of an odd size: blank, until one byte is written; then what was written is found', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'blank', mb: 20 });
      await lab.detach(drive);
      truncateSync(drive.file, 20 * MIB + 3 * 512);
      const odd = await lab.attach(drive.file, drive.spec);
      const { proved, stateOf } = proving(lab);
      expect(await proved(odd)).toEqual({ state: 'proved' });
      await write(odd.device, 7 * MIB + 123, [1]);
      expect(await stateOf(odd)).toEqual({ state: 'unread' });
      await looksEmpty(odd);
      expect(await proved(odd)).toEqual({ state: 'data', at: 7 * MIB + 123 });
      await lab.detach(odd);
      const again = await lab.attach(drive.file, drive.spec);
      expect(await stateOf(again)).toEqual({ state: 'unread' });
    });
  });

  test('"cleaned" by zeros over its beginning, the rest of a file system behind them: never blank', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'cleaned', mb: 160 });
      await lab.mkfs(drive.device, 'ext4', { args: ['-b', '4096'] });
      await run('dd', 'if=/dev/zero', `of=${drive.device}`, 'bs=1M', 'count=64', 'conv=notrunc,fsync', 'status=none');
      await looksEmpty(drive);
      const { proved, probes } = proving(lab);
      const state = await proved(drive);
      expect(probes.last(drive.name)).toMatchObject({ known: true, value: { clean: true } });
      expect(state).toMatchObject({ state: 'data' });
      expect(state?.state === 'data' && state.at >= 64 * MIB).toBe(true);
    });
  });

  test('something in its last sector: never blank', async () => {
    await withLab(async (lab) => {
      const last = await lab.drive({ name: 'last', mb: 24 });
      await lab.detach(last);
      const size = 24 * MIB + 512;
      truncateSync(last.file, size);
      const drive = await lab.attach(last.file, last.spec);
      await write(drive.device, size - 1, [0x80]);
      await looksEmpty(drive);
      expect(await proving(lab).proved(drive)).toEqual({ state: 'data', at: size - 1 });
    });
  });

  test('a part that cannot be read: never blank', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'bad', mb: 48 });
      const { proved, probes } = proving(lab);
      await probes.again(await deviceOf(drive));
      // Its end is there when it is probed, and gone when all of it is read.
      truncateSync(drive.file, 20 * MIB);
      await run('blockdev', '--flushbufs', drive.device);
      expect(await proved(drive)).toEqual({ state: 'unreadable' });
    });
  });
});

describe.skipIf(hungMissing !== '')(`a reading${skipped(hungMissing)}`, () => {
  test('yields to everything else, and leaves memory to it', async () => {
    await withLab(async (lab) => {
      const drive = await hungDrive(lab, 'slow');
      drive.hang();
      const stop = new AbortController();
      const reading = driveCheck().zeros(drive.device, 32 * MIB, { signal: stop.signal, onProgress: () => {} });
      const ended = reading.catch(() => 'stopped');
      let pid = '';
      const flags = (): number => {
        const fds = readdirSync(`/proc/${pid}/fd`).map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
        // Those of the device: no other file of the program is read past the page cache.
        return fds
          .map((text) => Number.parseInt(/^flags:\s*(\d+)$/m.exec(text)?.[1] ?? '0', 8) & constants.O_DIRECT)
          .reduce((a, b) => a | b, 0);
      };
      await until(async () => {
        pid = (await outcome('pgrep', '-f', `zeros ${drive.device}`)).stdout.trim();
        return pid !== '' && flags() === constants.O_DIRECT;
      });
      expect(await run('ionice', '-p', pid)).toContain('idle');
      expect((await run('ps', '-o', 'ni=', '-p', pid)).trim()).toBe('19');
      stop.abort();
      drive.answer();
      expect(await ended).toBe('stopped');
    });
  });
});
