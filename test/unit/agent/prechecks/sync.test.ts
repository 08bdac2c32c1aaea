import { describe, expect, test } from 'vitest';
import { inside, set } from './bad.ts';
import { setup } from './world.ts';

describe("before a snapshot a container's file systems are synced from the host", () => {
  test('each once a pass, whatever is mounted twice or never reaches a drive', async () => {
    const { check, did } = setup(
      inside(
        ['8:9', '/photos', 'ext4'],
        ['8:9', '/home/me/photos', 'ext4'],
        ['0:71', '/nas', 'nfs4'],
        ['0:52', '/dev', 'devtmpfs'],
      ),
    );
    expect(await check()).toMatchObject({ ok: true });
    expect(did.synced).toHaveLength(3);
    expect(new Set(did.synced)).toEqual(new Set(['101 /', '101 /home/me/photos', '101 /nas']));
  });

  test.each([
    [[10], 1],
    [[1_999], 1],
    [[2_000, 10], 2],
    [[60_000, 9_000, 2_500, 2_100, 1_000], 5],
  ])('passes of %j ms: %i of them', async (syncMs, passes) => {
    const { check, did } = setup(set({ syncMs }));
    expect(await check()).toMatchObject({ ok: true, warnings: [] });
    expect(did.synced).toHaveLength(passes);
  });

  test('a pass is all file systems one after the other, as Proxmox does it', async () => {
    const { check, did } = setup(inside(['8:9', '/photos', 'ext4']), set({ syncMs: [1_100] }));
    expect(await check()).toMatchObject({ ok: false, code: 'guest-sync-slow' });
    expect(did.synced).toHaveLength(10);
  });

  test('one that takes two minutes is not asked again', async () => {
    const { check, did, clock } = setup(set({ syncMs: [500_000] }));
    const before = clock.monotonic();
    expect(await check()).toMatchObject({ ok: false, code: 'guest-sync-slow', evidence: '/ was not written back within 120 s' });
    expect(did.synced).toHaveLength(1);
    expect(clock.monotonic() - before).toBeLessThan(130_000);
  });

  test('what was quick counts for a minute; what was slow does not', async () => {
    const { check, did, advance, world } = setup();
    await check();
    await advance(59_000);
    await check();
    expect(did.synced).toHaveLength(1);
    await advance(2_000);
    world.syncMs = [10, 3_000];
    expect(await check()).toMatchObject({ ok: false });
    expect(did.synced).toHaveLength(6);
    await check();
    expect(did.synced).toHaveLength(11);
  });

  test('one guest is nothing to another', async () => {
    const { guestSync, untilDone, did } = setup();
    await untilDone(guestSync.once(101));
    await untilDone(guestSync.once(102));
    expect(did.synced).toEqual(['101 /', '102 /']);
  });
});

describe('the pass right before a start', () => {
  test('takes two seconds at most, all file systems together', async () => {
    const { guestSync, untilDone, clock, did } = setup(
      inside(['8:9', '/photos', 'ext4'], ['8:10', '/music', 'ext4']),
      set({ syncMs: [1_500] }),
    );
    let tookMs = 0;
    const before = clock.monotonic();
    await untilDone(
      guestSync.once(101).then(() => {
        tookMs = clock.monotonic() - before;
      }),
    );
    expect(tookMs).toBe(2_000);
    expect(did.synced).toHaveLength(2);
  });

  test('does not go over a guest that is being synced', async () => {
    const { guestSync, advance, did } = setup(set({ syncMs: [1_000] }));
    const both = Promise.all([guestSync.once(101), guestSync.once(101)]);
    await advance(900);
    expect(did.synced).toHaveLength(1);
    await advance(1_100);
    await both;
    expect(did.synced).toHaveLength(2);
  });

  test('is nothing where the container does not run', async () => {
    const { guestSync, untilDone, did } = setup(set({ inside: null }));
    await untilDone(guestSync.once(101));
    expect(did.synced).toEqual([]);
  });

  test('counts as a quick one', async () => {
    const { guestSync, untilDone, check, did } = setup();
    await untilDone(guestSync.once(101));
    await check();
    expect(did.synced).toHaveLength(1);
  });
});
