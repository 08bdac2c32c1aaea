import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ORDER } from '#agent/prechecks/checks';
import { PRECHECK_CODES } from '#agent/prechecks/verdict';
import { NEVER } from '../fake-host.ts';
import { BAD, inside, set } from './bad.ts';
import { guest, mountinfo, settingsOf, setup } from './world.ts';

describe('a good host', () => {
  test('a backup may start, in the configured mode, with the configuration as it stands', async () => {
    const { check } = setup();
    expect(await check()).toEqual({ ok: true, guest: guest(), mode: 'snapshot', configDigest: 'd1', warnings: [] });
  });

  test('one check asks Proxmox once for each thing, and two at once share it', async () => {
    const { prechecks, did, untilDone } = setup();
    const [one, other] = await untilDone(Promise.all([prechecks.check(101), prechecks.check(101)]));
    expect(one).toBe(other);
    expect(did.requests).toEqual(['resources', 'storages', 'config lxc 101']);
  });

  test('two guests at once look at their common target once', async () => {
    const place = { node: 'pve1', type: 'lxc' } as const;
    const { prechecks, did, untilDone } = setup(
      set({
        guests: [guest(), guest({ vmid: 102 })],
        cluster: async () => ({
          state: 'ok',
          guests: new Map([
            [101, place],
            [102, place],
          ]),
        }),
      }),
    );
    await untilDone(Promise.all([prechecks.check(101), prechecks.check(102)]));
    expect(did.measured).toEqual(['/mnt/usb/dump']);
    await untilDone(prechecks.check(102));
    expect(did.measured).toHaveLength(2);
  });

  test.each([
    ['stopped', 'snapshot', 'stop'],
    ['stopped', 'suspend', 'stop'],
    ['running', 'suspend', 'suspend'],
    ['running', 'stop', 'stop'],
    ['unknown', 'snapshot', 'snapshot'],
  ] as const)('a guest that is %s, configured for %s: %s', async (status, configured, mode) => {
    const { check } = setup(set({ guests: [guest({ status })], settings: settingsOf(configured) }));
    expect(await check()).toMatchObject({ ok: true, mode });
  });

  test('a guest has its own mode', async () => {
    const settings = { ...settingsOf('snapshot'), guests: new Map([[101, { mode: 'suspend' as const }]]) };
    expect(await setup(set({ settings })).check()).toMatchObject({ ok: true, mode: 'suspend' });
  });

  test('only a snapshot of a running container is synced before', async () => {
    for (const change of [
      set({ guests: [guest({ status: 'stopped' })] }),
      set({ settings: settingsOf('suspend') }),
      set({
        guests: [guest({ type: 'qemu' })],
        cluster: async () => ({ state: 'ok', guests: new Map([[101, { node: 'pve1', type: 'qemu' }]]) }),
      }),
    ]) {
      const { check, did } = setup(change);
      expect(await check()).toMatchObject({ ok: true });
      expect(did.synced).toEqual([]);
    }
  });
});

describe('a bad host', () => {
  test.each(BAD)('$what: $code', async ({ code, evidence, change }) => {
    const { check, did, remembered } = setup(change);
    const verdict = await check();
    expect(verdict).toMatchObject({ ok: false, code, evidence: expect.stringMatching(evidence) });
    if (verdict.ok) return;
    expect(verdict.sentence).not.toMatch(/[/]|\d{4}|undefined|null/);
    expect(verdict.nextStep).toMatch(/^[A-Z].{20,}/);
    expect(`${verdict.sentence} ${verdict.evidence} ${verdict.nextStep}`).not.toContain('secret');
    if (code !== 'guest-sync-slow') {
      expect(did.synced).toEqual([]);
      expect(remembered()).toEqual([]);
    }
  });

  test('every code has a bad host here', () => {
    expect([...new Set(BAD.map(({ code }) => code))].sort()).toEqual([...PRECHECK_CODES].sort());
  });

  test('the table tells its checks in the order in which they are listed', () => {
    const told = ORDER.filter((code, index) => code !== ORDER[index - 1]);
    const listed = BAD.map(({ code }) => code).filter((code, index, all) => code !== all[index - 1]);
    expect([...told, 'guest-sync-slow']).toEqual(listed);
  });

  test('whatever is bad together, no backup starts, and the first is told', async () => {
    const indexes = fc.uniqueArray(fc.nat(BAD.length - 1), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(indexes, async (chosen) => {
        const inOrder = chosen.sort((a, b) => a - b).flatMap((index) => BAD[index] ?? []);
        const { check } = setup(...inOrder.map(({ change }) => change).reverse());
        expect(await check()).toMatchObject({ ok: false, code: inOrder[0]?.code });
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  test.each(BAD.filter(({ hangs }) => hangs))('$what: an answer within 10 s', async ({ change }) => {
    const { prechecks, advance } = setup(change);
    let answered = false;
    void prechecks.check(101).then(() => {
      answered = true;
    });
    await advance(10_000);
    expect(answered).toBe(true);
  });

  test('everything hangs that can while Proxmox answers: an answer within 10 s', async () => {
    const { prechecks, advance, did } = setup(
      set({ sizes: () => NEVER, pools: () => NEVER, locked: () => NEVER, repair: () => NEVER }),
      inside(['0:71', '/nas', 'nfs4']),
      (world) => {
        const config = world.config;
        let asked = 0;
        world.config = async () => ({ ...(await config()), ...(asked++ === 0 ? { lock: 'backup' } : {}) });
        world.rooms['/mnt/usb/dump'] = 'hangs';
      },
    );
    const verdicts: unknown[] = [];
    void prechecks.check(101).then((verdict) => verdicts.push(verdict));
    await advance(10_000);
    expect(verdicts).toMatchObject([{ code: 'guest-locked' }]);
    void prechecks.check(101).then((verdict) => verdicts.push(verdict));
    await advance(10_000);
    expect(verdicts).toMatchObject([{ code: 'guest-locked' }, { code: 'target-inactive' }]);
    expect(did.synced).toEqual([]);
  });
});

describe('a check that breaks', () => {
  test('is a refusal, and the journal has the cause', async () => {
    const { check, did } = setup((world) => {
      Object.defineProperty(world, 'settings', {
        get: () => {
          throw new TypeError('secret detail');
        },
      });
    });
    const verdict = await check();
    expect(verdict).toMatchObject({
      ok: false,
      code: 'guest-unreadable',
      sentence: expect.stringContaining('could not be checked'),
    });
    expect(JSON.stringify(verdict)).not.toContain('secret');
    expect(did.journal).toEqual([expect.stringMatching(/^error .*secret detail/)]);
  });

  test('a failure that goes on is in the journal once, and again when it comes back', async () => {
    const { check, did, world } = setup();
    const fail = () => Promise.reject(new Error('dmsetup went wrong'));
    const well = world.pools;
    for (const pools of [fail, fail, fail, well, fail]) {
      world.pools = pools;
      await check();
    }
    expect(did.journal.filter((line) => line.includes('dmsetup went wrong'))).toHaveLength(2);
  });
});

describe('what could not be known is a warning', () => {
  test.each([
    ['thin pools', set({ pools: () => Promise.reject(new Error('no dmsetup')) }), /thin pools .* could not be read/],
    ['a pool that is not there', set({ pools: async () => [] }), /pve-data--1 was not found/],
    ["vzdump's lock", set({ locked: () => Promise.reject(new Error('EACCES')) }), /another backup now could not be read/],
    ["the guest's first process", set({ inside: null }), /could not be synced beforehand/],
    ["the guest's size", set({ sizes: async () => [], guests: [guest({ usedBytes: null })] }), /only the reserve/],
    [
      "the guest's archives",
      set({ sizes: () => Promise.reject(new Error('SQLITE_IOERR')), guests: [guest({ usedBytes: null })] }),
      /only the reserve/,
    ],
    ['a file system that fails to sync', set({ syncFails: true }), /^\/ in the guest could not be synced/],
  ])('%s', async (_what, change, warning) => {
    const verdict = await setup(change).check();
    expect(verdict).toMatchObject({ ok: true, warnings: [expect.stringMatching(warning)] });
  });
});

describe('where the guest is', () => {
  test('the cluster file system rules over the resources', async () => {
    const { check } = setup(set({ guests: [guest({ node: 'pve2' })] }));
    expect(await check()).toMatchObject({ ok: true, guest: { node: 'pve1' } });
  });

  test('a guest that is nowhere at all is gone', async () => {
    const { check } = setup(set({ guests: [], cluster: async () => ({ state: 'ok', guests: new Map() }) }));
    expect(await check()).toMatchObject({ ok: false, code: 'guest-gone', guest: null });
  });
});

describe('a guest that Proxmox has locked', () => {
  const locked = (lock: string) => set({ config: async () => ({ rootfs: 'thin:vm-101-disk-0', digest: 'd1', lock }) });

  test('a lock left by a backup is repaired, and the configuration read again', async () => {
    let lock: string | undefined = 'backup';
    const { check, did } = setup(
      set({
        config: async () => ({ rootfs: 'thin:vm-101-disk-0', digest: lock ? 'with-lock' : 'without', ...(lock ? { lock } : {}) }),
        repair: async () => {
          lock = undefined;
          return true;
        },
      }),
    );
    expect(await check()).toMatchObject({ ok: true, configDigest: 'without' });
    expect(did.repaired).toEqual([101]);
  });

  test('a lock that comes back after the repair is told', async () => {
    const { check } = setup(locked('backup'), set({ repair: async () => true }));
    expect(await check()).toMatchObject({ ok: false, code: 'guest-locked' });
  });

  test('a repair that fails leaves the guest locked', async () => {
    const { check } = setup(locked('backup'), set({ repair: () => Promise.reject(new Error('pct')) }));
    expect(await check()).toMatchObject({ ok: false, code: 'guest-locked' });
  });

  test.each([
    ['backup', /unlock 101/],
    ['fstrim', /unlock 101/],
    ['mounted', /pct unmount 101/],
    ['suspended', /resume 101\. Never unlock/],
    ['suspending', /Never unlock/],
    ['snapshot', /listsnapshot 101 before anything is unlocked/],
    ['snapshot-delete', /listsnapshot 101 before anything is unlocked/],
    ['rollback', /set it back again/],
    ['migrate', /on which server its disks are/],
    ['create', /incomplete/],
    ['clone', /incomplete/],
    ['disk', /pct config 101/],
    ['destroyed', /Remove it/],
    ['something-new', /ask who locked it/],
  ])('%s', async (lock, nextStep) => {
    const { check, did } = setup(locked(lock));
    expect(await check()).toMatchObject({
      code: 'guest-locked',
      evidence: `lock: ${lock}`,
      nextStep: expect.stringMatching(nextStep),
    });
    expect(did.repaired).toEqual(lock === 'backup' ? [101] : []);
  });

  test("only a lock's leftovers are ever unlocked by the command", async () => {
    for (const lock of [
      'snapshot',
      'snapshot-delete',
      'suspended',
      'suspending',
      'migrate',
      'rollback',
      'create',
      'clone',
      'disk',
      'destroyed',
    ]) {
      const verdict = await setup(locked(lock)).check();
      expect(verdict).not.toMatchObject({ nextStep: expect.stringMatching(/(pct|qm) unlock/) });
    }
  });

  test("a virtual machine's tool is qm", async () => {
    const cluster = async () => ({ state: 'ok' as const, guests: new Map([[101, { node: 'pve1', type: 'qemu' as const }]]) });
    const { check } = setup(locked('suspended'), set({ cluster, guests: [guest({ type: 'qemu' })] }));
    expect(await check()).toMatchObject({ nextStep: expect.stringContaining('qm resume 101') });
  });
});

describe('inside a container', () => {
  test('FUSE that the host gives in is served by the host: asked, synced, not refused', async () => {
    const change = (world: Parameters<ReturnType<typeof set>>[0]) => {
      world.hostMounts += `\n${mountinfo(['0:80', '/mnt/pool', 'fuse.mergerfs'])}`;
    };
    const { check, did } = setup(change, inside(['0:80', '/pool', 'fuse.mergerfs']));
    expect(await check()).toMatchObject({ ok: true });
    expect(did.synced).toEqual(['101 /', '101 /pool']);
    const dead = setup(change, inside(['0:80', '/pool', 'fuse.mergerfs']), set({ dead: ['/pool'] }));
    expect(await dead.check()).toMatchObject({ ok: false, code: 'guest-mount-dead' });
  });

  test("lxcfs is everybody's", async () => {
    expect(await setup(inside(['0:81', '/proc/cpuinfo', 'fuse.lxcfs'])).check()).toMatchObject({ ok: true });
  });

  test('in another mode nothing is frozen and synced: FUSE and dead drives do not matter', async () => {
    for (const mode of ['suspend', 'stop']) {
      const { check } = setup(
        inside(['0:70', '/cloud', 'fuse.rclone'], ['0:71', '/nas', 'nfs4']),
        set({ dead: ['/nas'], settings: settingsOf(mode) }),
      );
      expect(await check()).toMatchObject({ ok: true, mode });
    }
  });
});
