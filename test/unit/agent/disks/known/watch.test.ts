import { beforeEach, describe, expect, test } from 'vitest';
import type { Inventory } from '#agent/disks/inventory/drive';
import { createWatch } from '#agent/disks/known/watch';
import type { NewProblem } from '#agent/health/problems';
import type { Disk } from '#shared/wire/disks';
import { fakeClock } from '../../fake-clock.ts';
import { madeDrive, madeInventory } from '../made.ts';

let open: Map<string, NewProblem>;
let changed: number[];
let guests: number[];
let shown: Partial<Disk>;
let watch: ReturnType<typeof createWatch>;
let time: ReturnType<typeof fakeClock>;

beforeEach(() => {
  open = new Map();
  changed = [];
  guests = [101, 102];
  shown = {};
  time = fakeClock();
  watch = createWatch({
    clock: time.clock,
    problems: {
      raise: (problem) => void open.set(problem.code, problem),
      clear: (code) => void open.delete(code),
    },
    guests: () => guests,
    listing: (vmid, { drives }) =>
      drives.map(({ name }) => ({ name: vmid === 102 ? 'x' : name, smart: { health: 'PASSED' }, ...shown }) as Disk),
    changed: (vmid) => void changed.push(vmid),
  });
});

const sick = madeInventory({
  drives: [madeDrive({ name: 'sdx', identity: { serial: 'SECRET' }, state: 'not-answering' })],
  missing: [{ source: 'lvm', why: 'pvs: /dev/mapper/secret' }],
  unmatchedProtect: ['serial:SECRET'],
});

describe('problems', () => {
  test.each<[string, Inventory, RegExp]>([
    ['drive-source-missing', madeInventory({ missing: sick.missing }), /lvm/],
    ['drive-not-answering', madeInventory({ drives: sick.drives }), /sdx/],
    ['protect-unmatched', madeInventory({ unmatchedProtect: ['serial:SECRET', 'wwn:1'] }), /2 of the entries/],
  ])('%s: after a minute, gone with its cause', async (code, inventory, evidence) => {
    watch.saw(inventory);
    await time.advance(59_999);
    watch.saw(inventory);
    expect([...open]).toEqual([]);
    await time.advance(1);
    watch.saw(inventory);
    expect([...open.keys()]).toEqual([code]);
    expect(open.get(code)).toMatchObject({ vmid: null, evidence: expect.stringMatching(evidence) });
    expect(JSON.stringify([...open])).not.toMatch(/SECRET|secret/);
    watch.saw(madeInventory());
    expect([...open]).toEqual([]);
  });

  test('a pause between begins the minute anew', async () => {
    watch.saw(sick);
    await time.advance(40_000);
    watch.saw(madeInventory());
    await time.advance(40_000);
    watch.saw(sick);
    expect([...open]).toEqual([]);
  });

  test('while a source is missing nobody says that an entry of protect is mistyped', async () => {
    watch.saw(sick);
    await time.advance(60_000);
    watch.saw(sick);
    expect([...open.keys()]).toEqual(['drive-source-missing', 'drive-not-answering']);
  });
});

describe('news', () => {
  const with1 = madeInventory({ drives: [madeDrive({ name: 'sdb' })] });
  const with2 = madeInventory({ drives: [madeDrive({ name: 'sdc' })] });

  test('only those who see something else are told, and nobody at the first look', () => {
    watch.saw(with1);
    watch.saw(with1);
    expect(changed).toEqual([]);
    watch.saw(with2);
    expect(changed).toEqual([101]);
    watch.saw(madeInventory());
    expect(changed).toEqual([101, 101, 102]);
  });

  test('words that go on by themselves are none', () => {
    watch.saw(with1);
    shown = {
      data_reason: '45 %',
      used_bytes: 5,
      smart: { health: 'PASSED', temperature_c: 9, percentage_used: null, age_seconds: 7 },
    };
    watch.saw(with1);
    expect(changed).toEqual([]);
    shown = { state: 'mounted' };
    watch.saw(with1);
    expect(changed).toEqual([101, 102]);
  });

  test('a guest that is enrolled later is told from then on', () => {
    guests = [101];
    watch.saw(with1);
    guests = [101, 102];
    watch.saw(with1);
    guests = [102];
    watch.saw(madeInventory());
    guests = [101, 102];
    watch.saw(madeInventory());
    expect(changed).toEqual([102]);
  });
});
