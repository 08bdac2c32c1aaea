import { describe, expect, test } from 'vitest';
import type { DriveRecord, Inventory } from '#agent/disks/inventory/drive';
import type { Evidence } from '#agent/disks/inventory/evidence';
import { createCurrent, type Look, type Probed } from '#agent/disks/known/current';
import { FelhomError } from '#shared/errors';
import { fakeClock, settle } from '../../fake-clock.ts';
import { NEVER } from '../../fake-host.ts';
import { madeDevice, madeDrive, madeEvidence, madeInventory, madeRecord } from '../made.ts';

type Gate = { open: () => void; opened: Promise<void> };
const gate = (): Gate => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

const NOTHING: Probed = { probes: new Map(), looks: new Map(), asleep: new Set(), notAnswering: new Set() };

const setup = () => {
  const time = fakeClock();
  const said: string[] = [];
  const looks: Look[] = [];
  let held: Gate | null = null;
  let gathers = 0;
  let read: (() => Promise<Probed>) | null = null;
  let noteFails: Error | null = null;
  let named = '';
  let records: DriveRecord[] = [];
  const world = {
    ...time,
    said,
    looks,
    gathers: () => gathers,
    hold: () => {
      held = gate();
      return held;
    },
    release: () => {
      held?.open();
      held = null;
    },
    onRead: (next: typeof read) => {
      read = next;
    },
    /** The drive has this name from now on; otherwise another at each look. */
    rename: (name: string) => {
      named = name;
    },
    failNote: (error: Error | null) => {
      noteFails = error;
    },
  };
  const current = createCurrent({
    clock: time.clock,
    journal: (_level, sentence) => void said.push(sentence),
    gather: async () => {
      gathers += 1;
      const mine = gathers;
      await held?.opened;
      return madeEvidence({
        kernel: { known: true, value: [madeDevice({ name: named || `sd${mine}` }), madeDevice({ name: 'dm-0' })] },
      });
    },
    drivesOf: (devices) => devices.filter(({ name }) => !name.startsWith('dm-')),
    probes: {
      read: async (devices) => {
        said.push(`read ${devices.map(({ name }) => name)}`);
        return (await read?.()) ?? NOTHING;
      },
      again: ({ name }) => {
        said.push(`again ${name}`);
        return name === 'sd2' || name === 'hung' ? NEVER : Promise.resolve();
      },
    },
    conclude: ({ kernel }: Evidence): Inventory => {
      const name = kernel.known ? (kernel.value[0]?.name ?? '') : '';
      return madeInventory({ drives: [madeDrive({ name, record: records[0] ?? null })] });
    },
    records: {
      drives: () => records,
      note: async () => {
        if (noteFails !== null) throw noteFails;
        if (records.length === 0) records = [madeRecord()];
      },
    },
    onLook: (look) => void looks.push(look),
  });
  return { world, current };
};

const nameIn = ({ drives }: Inventory) => drives[0]?.name;
const settled = async <T>(promise: Promise<T>) => {
  const state: { value?: T; error?: unknown; done: boolean } = { done: false };
  promise.then(
    (value) => Object.assign(state, { value, done: true }),
    (error: unknown) => Object.assign(state, { error, done: true }),
  );
  await settle();
  return state;
};

test('one look is shared by all who ask, and kept for five seconds', async () => {
  const { world, current } = setup();
  const answers = await Promise.all([current.inventory(), current.inventory(), current.inventory()]);
  expect(answers.map(({ inventory }) => nameIn(inventory))).toEqual(['sd1', 'sd1', 'sd1']);
  await world.advance(4_999);
  expect(await current.inventory()).toMatchObject({ ageMs: 4_999 });
  expect(world.gathers()).toBe(1);
  await world.advance(1);
  expect(nameIn((await current.inventory()).inventory)).toBe('sd2');
  expect(world.looks).toHaveLength(2);
});

test('only drives are probed, and what is seen has its record already', async () => {
  const { world, current } = setup();
  const { inventory } = await current.inventory();
  expect(world.said).toEqual(['read sd1']);
  expect(inventory.drives[0]?.record).toMatchObject({ id: 1 });
});

describe('a source that hangs', () => {
  test('before anything was known: an answer in time, which is no empty list', async () => {
    const { world, current } = setup();
    world.hold();
    const asked = current.inventory();
    await world.advance(3_499);
    expect(await settled(asked)).toMatchObject({ done: false });
    await world.advance(1);
    expect(await settled(asked)).toMatchObject({ done: true, error: { code: 'not-known' } });
  });

  test('afterwards: the last with its age; one answer waits, the hundred after it do not', async () => {
    const { world, current } = setup();
    await current.inventory();
    await world.advance(6_000);
    world.hold();
    const first = current.inventory();
    await world.advance(3_500);
    expect(await settled(first)).toMatchObject({ value: { ageMs: 9_500 } });
    for (let each = 0; each < 100; each += 1) expect((await settled(current.inventory())).value?.ageMs).toBe(9_500);
    expect(world.gathers()).toBe(2);
    world.release();
    await settle();
    expect(nameIn((await current.inventory()).inventory)).toBe('sd2');
  });

  test('for ever: the look is given up after a while, and another is made', async () => {
    const { world, current } = setup();
    await current.inventory();
    await world.advance(6_000);
    world.hold();
    void current.inventory();
    await world.advance(20_000);
    world.release();
    await world.advance(5_000);
    expect(nameIn((await current.inventory()).inventory)).toBe('sd3');
  });
});

test('a look that fails leaves the last one, with its age', async () => {
  const { world, current } = setup();
  await current.inventory();
  await world.advance(6_000);
  world.onRead(() => Promise.reject(new Error('a mistake')));
  expect(await current.inventory()).toMatchObject({ ageMs: 6_000 });
});

describe('a deed', () => {
  test('looks after it was asked, also when a look is under way or kept', async () => {
    const { world, current } = setup();
    expect(nameIn((await current.inventory()).inventory)).toBe('sd1');
    expect(nameIn(await current.fresh())).toBe('sd2');
    world.hold();
    await world.advance(6_000);
    const listing = current.inventory();
    const deeds = [current.fresh(), current.fresh(['sd5'])];
    await settle();
    expect(world.gathers()).toBe(3);
    world.release();
    expect((await Promise.all(deeds)).map(nameIn)).toEqual(['sd4', 'sd4']);
    expect(nameIn((await listing).inventory)).toBe('sd3');
  });

  test('has its drive read anew, and only that one', async () => {
    const { world, current } = setup();
    await current.fresh(['sd1', 'sdz']);
    expect(world.said).toEqual(['again sd1', 'read sd1']);
    await current.fresh();
    expect(world.said.slice(2)).toEqual(['read sd2']);
  });

  test('does not wait for ever for a drive that spins up', async () => {
    const { world, current } = setup();
    await current.inventory();
    const deed = current.fresh(['sd2']);
    await world.advance(3_999);
    expect(await settled(deed)).toMatchObject({ done: false });
    await world.advance(1);
    expect(await settled(deed)).toMatchObject({ done: true, value: { drives: [{ name: 'sd2' }] } });
  });

  test('T41: nor does it wait again and again for one that hangs, whoever asks after it', async () => {
    const { world, current } = setup();
    world.onRead(async () => ({ ...NOTHING, notAnswering: new Set(['hung']) }));
    world.rename('hung');
    const first = current.fresh(['hung']);
    await world.advance(4_000);
    expect(await settled(first)).toMatchObject({ done: true });
    const spam = current.fresh(['hung']);
    const other = current.fresh();
    expect([await settled(spam), await settled(other)]).toMatchObject([{ done: true }, { done: true }]);
    expect(world.said.filter((one) => one === 'again hung')).toHaveLength(1);
  });

  test('is refused when the look does not end in time', async () => {
    const { world, current } = setup();
    await current.inventory();
    world.hold();
    const deed = current.fresh();
    await world.advance(7_999);
    expect(await settled(deed)).toMatchObject({ done: false });
    await world.advance(1);
    const { error } = await settled(deed);
    expect(error).toBeInstanceOf(FelhomError);
    expect(error).toMatchObject({ code: 'drive-not-answering' });
  });

  test('is refused when the database does not take what was seen; a listing is not', async () => {
    const { world, current } = setup();
    world.failNote(new Error('disk full'));
    await expect(current.fresh()).rejects.toThrow('disk full');
    expect((await current.inventory()).inventory.drives).toHaveLength(1);
    expect(world.said).toContain('What is new about the drives could not be recorded.');
  });

  test('is seen by whoever asks after it', async () => {
    const { world, current } = setup();
    await current.inventory();
    await world.advance(10);
    current.changed();
    await world.advance(10);
    expect(nameIn((await current.inventory()).inventory)).toBe('sd2');
    // Not by a look that began before it.
    await world.advance(6_000);
    const held = world.hold();
    const early = current.inventory();
    await world.advance(10);
    current.changed();
    await world.advance(10);
    const late = current.inventory();
    held.open();
    world.release();
    expect(nameIn((await early).inventory)).toBe('sd3');
    expect(nameIn((await late).inventory)).toBe('sd4');
  });
});
