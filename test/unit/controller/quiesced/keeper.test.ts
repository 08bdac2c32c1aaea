/** When felhom-quiesced may end: not before it is known what an earlier start left. */
import { expect, test } from 'vitest';
import { createKeeper, type KeeperPorts } from '#controller/quiesced/keeper';

test('it is needed until it has looked after what an earlier start left', async () => {
  let ended = (): void => undefined;
  const keeper = createKeeper({
    leases: { read: async () => ({ apps: [], live: false, leftovers: { children: [{ pid: 7, started: '8' }], groups: [] } }) },
    // A process in D state takes a while.
    endLeftovers: () =>
      new Promise<void>((resolve) => {
        ended = resolve;
      }),
    letting: { notBack: () => [] },
  } as unknown as KeeperPorts);
  const recovering = keeper.recover();
  await new Promise(setImmediate);
  expect(keeper.isIdle()).toBe(false);
  ended();
  await recovering;
  expect(keeper.isIdle()).toBe(true);
});
