import { expect, test } from 'vitest';
import type { Session } from '#controller/quiesced/adapters/adapter';
import { createHeldApp } from '#controller/quiesced/held-app';
import type { FromChild } from '#controller/quiesced/ipc';
import { manualClock } from '../manual-clock.ts';

const setup = (change: Partial<Session> = {}) => {
  const clock = manualClock();
  const did: string[] = [];
  const told: FromChild[] = [];
  const session: Session = {
    prepare: async () => ({ kind: 'systemd', running: true }),
    look: async () => ({ units: [] }),
    hold: async () => void did.push('hold'),
    stillHeld: async () => true,
    release: async () => void did.push('release'),
    whereDataLies: async () => ['/srv'],
    close: async () => void did.push('close'),
    ...change,
  };
  return { clock, did, told, app: createHeldApp(session, clock, (message) => told.push(message)) };
};

test('prepare says what was found, and where its data lies', async () => {
  await expect(setup().app.prepare()).resolves.toEqual({ kind: 'systemd', running: true, paths: ['/srv'] });
});

test('at the end of its time it lets go alone, and says so', async () => {
  const { app, clock, did, told } = setup();
  await app.hold({}, 3000);
  await clock.advance(3400);
  expect(did).toEqual(['hold']);
  await clock.advance(200);
  expect(did).toEqual(['hold', 'release']);
  expect(told).toContainEqual({ say: 'line', priority: 4, text: 'let go by its own process: its time is over' });
  // The main process, which stood still, asks afterwards: it does not stand, and it is back already.
  await expect(app.check()).resolves.toEqual({ stands: false, frozen_ms: null });
  await app.release({});
  expect(did).toEqual(['hold', 'release']);
});

test('frozen past the end of its time: only after the grace', async () => {
  const { app, clock, did } = setup();
  await app.hold({}, 3000);
  await clock.freeze(60_000);
  await clock.advance(4900);
  expect(did).toEqual(['hold']);
  await clock.advance(200);
  expect(did).toEqual(['hold', 'release']);
});

test('alone it tries for ever, less and less often', async () => {
  let tries = 0;
  const { app, clock } = setup({
    release: async () => {
      tries += 1;
      if (tries < 8) throw new Error('not yet');
    },
  });
  await app.hold({}, 1000);
  const done = app.letGoAlone('felhom-quiesced has gone');
  await clock.advance(0);
  for (const [ms, sum] of [
    [1000, 2],
    [2000, 3],
    [4000, 4],
    [8000, 5],
    [15_000, 6],
    [60_000, 7],
    [60_000, 8],
  ] as const) {
    await clock.advance(ms);
    expect(tries).toBe(sum);
  }
  await done;
  expect(clock.timers()).toBe(0);
});

test('a hold whose turn comes after it was let go never begins', async () => {
  let found = (): void => undefined;
  const { app, did } = setup({
    look: () =>
      new Promise((resolve) => {
        found = () => resolve({});
      }),
  });
  void app.look();
  const holding = app.hold({}, 3000).catch((error: Error) => error.message);
  await app.release({});
  found();
  expect([await holding, did]).toEqual(['it was let go before it was held', ['release']]);
});

test('what another process held is let go to its end also when nobody waits for it any more', async () => {
  let tries = 0;
  const { app, clock } = setup({
    release: async () => {
      tries += 1;
      if (tries < 3) throw new Error('not yet');
    },
  });
  const first = app.release({}).catch(() => undefined);
  const done = app.letGoAlone('felhom-quiesced has gone');
  await first;
  await clock.advance(10_000);
  await done;
  expect(tries).toBe(3);
});

test('let go alone without a hold does nothing', async () => {
  const { app, did } = setup();
  await app.letGoAlone('felhom-quiesced has gone');
  expect(did).toEqual([]);
});

test('half a hold is let go too', async () => {
  const { app, did } = setup({ hold: () => new Promise(() => undefined) });
  void app.hold({}, 3000);
  await new Promise(setImmediate);
  await app.letGoAlone('felhom-quiesced has gone');
  expect(did).toEqual(['release']);
});

test('a hold that was let go meanwhile is not said to be held', async () => {
  let held = () => undefined as unknown;
  const { app } = setup({
    hold: () =>
      new Promise<void>((resolve) => {
        held = resolve;
      }),
  });
  const holding = app.hold({}, 3000);
  await new Promise(setImmediate);
  await app.release({});
  held();
  await expect(holding).rejects.toThrow('let go before it was held');
  await expect(app.check()).resolves.toMatchObject({ stands: false });
});

test('while it is held it is looked at every second, and says that it lives', async () => {
  let looks = 0;
  const { app, clock, told } = setup({
    stillHeld: async () => {
      looks += 1;
      return true;
    },
  });
  await app.hold({}, 60_000);
  await clock.advance(10_000);
  expect(looks).toBeGreaterThanOrEqual(9);
  expect(looks).toBeLessThanOrEqual(12);
  expect(told.filter(({ say }) => say === 'alive').length).toBeGreaterThan(35);
  await app.release({});
  const before = looks;
  await clock.advance(10_000);
  expect(looks).toBe(before);
});

test('a hold that was seen not to stand never stands again', async () => {
  let stands = true;
  const { app, clock } = setup({ stillHeld: async () => stands });
  await app.hold({}, 30_000);
  await clock.advance(2000);
  stands = false;
  await clock.advance(1100);
  stands = true;
  await expect(app.check()).resolves.toMatchObject({ stands: false });
  await app.release({});
  await app.hold({}, 30_000);
  await expect(app.check()).resolves.toMatchObject({ stands: true });
});

test('a hold that ended in a freeze', async () => {
  let stands = true;
  const { app, clock } = setup({ stillHeld: async () => stands });
  await app.hold({}, 60_000);
  await clock.advance(3000);
  stands = false;
  await clock.freeze(8000);
  await expect(app.check()).resolves.toEqual({ stands: false, frozen_ms: expect.any(Number) });
  expect((await app.check()).frozen_ms).toBeGreaterThanOrEqual(8000);
});

test('a hold whose connection broke in a freeze', async () => {
  let breaks = false;
  const { app, clock } = setup({
    stillHeld: async () => {
      if (breaks) throw new Error('the connection has ended');
      return true;
    },
  });
  await app.hold({}, 60_000);
  await clock.advance(3000);
  breaks = true;
  await clock.freeze(8000);
  expect((await app.check()).frozen_ms).toBeGreaterThanOrEqual(8000);
});

test('a hold that ended while awake, before a freeze', async () => {
  let stands = true;
  const { app, clock } = setup({ stillHeld: async () => stands });
  await app.hold({}, 60_000);
  await clock.advance(3000);
  stands = false;
  await clock.advance(2000);
  await clock.freeze(8000);
  await expect(app.check()).resolves.toEqual({ stands: false, frozen_ms: null });
});

test('what was only made ready has no freeze to explain it', async () => {
  const { app, clock } = setup({ stillHeld: async () => false });
  await app.prepare();
  await clock.freeze(8000);
  await expect(app.check()).resolves.toEqual({ stands: false, frozen_ms: null });
});

test('the session is asked one thing at a time; only a release does not wait', async () => {
  let inside = 0;
  let most = 0;
  const slowly = async () => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside -= 1;
  };
  const { app, did } = setup({
    prepare: async () => {
      await slowly();
      return { kind: 'systemd', running: true };
    },
    look: async () => {
      await slowly();
      return {};
    },
    stillHeld: async () => {
      await slowly();
      return true;
    },
  });
  const all = [app.prepare(), app.look(), app.check(), app.check()];
  await app.release({});
  expect(did).toEqual(['release']);
  await Promise.all(all);
  expect(most).toBe(1);
});
