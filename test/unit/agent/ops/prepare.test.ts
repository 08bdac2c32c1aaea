/** `ops prepare`: what lies on a backup drive is taken out of use in order, written down before it is done, and put back by --undo. */
import { describe, expect, test } from 'vitest';
import type { FelhomError } from '#shared/errors';
import { backupHost, type HostState, OP_ID, openOp, type PrepareHost, prepareHost } from './prepare-host.ts';

const refused = (deed: Promise<unknown>): Promise<FelhomError> =>
  deed.then(
    (reply) => expect.fail(`it was not refused: ${JSON.stringify(reply)}`),
    (error: FelhomError) => error,
  );

const prepared = ({ state, prepare }: PrepareHost) => prepare.prepare(state.op);
const undone = ({ state, prepare }: PrepareHost) => prepare.undo(state.op);

test('storages, jobs, our own backup, then the mount; each written down before it is done', async () => {
  const one = prepareHost(backupHost());
  const answer = await prepared(one);
  expect(one.done).toEqual([
    ...['write 1', 'disable usb-backup', 'write 2', 'disable nested', 'write 3', 'disable job nightly'],
    ...['cancel 101', 'let go usb-backup nested', 'write 4', 'umount /mnt/usb'],
  ]);
  expect(one.prepare.sentences(answer)).toEqual([
    'The Proxmox storage "usb-backup" is disabled.',
    'The Proxmox storage "nested" is disabled.',
    'Proxmox\'s backup job "nightly" is disabled.',
    '/mnt/usb is unmounted.',
  ]);
  expect(one.state.op.prepared).toEqual(answer);
  expect(one.audits).toEqual(['op-prepared']);
  expect(one.state.storages.local).not.toHaveProperty('disable');
});

test('undo puts all of it back in the reverse order', async () => {
  const state = backupHost({ own: [] });
  const one = prepareHost(state);
  const before = one.picture();
  await prepared(one);
  one.done.length = 0;
  expect(await undone(one)).toEqual([]);
  expect(one.done).toEqual([
    ...['mount /dev/sdb1 /mnt/usb ext4 rw,relatime,errors=remount-ro', 'write 3', 'enable job nightly', 'write 2'],
    ...['enable nested', 'write 1', 'enable usb-backup', 'write 0'],
  ]);
  expect(one.picture()).toEqual(before);
  expect(state.jobs.paused).toMatchObject({ enabled: false });
});

test('with options that the kernel takes no more it is mounted without them', async () => {
  const one = prepareHost(backupHost({ own: [], refusedOption: 'errors=remount-ro' }));
  await prepared(one);
  await undone(one);
  expect(one.done).toContain('mount /dev/sdb1 /mnt/usb ext4 rw,relatime');
  expect(one.state.mounts.map(({ point }) => point)).toEqual(['/mnt/usb']);
});

test('what was disabled before is not ours to enable', async () => {
  const state = backupHost();
  state.storages.nested = { ...state.storages.nested, disable: '' };
  const one = prepareHost(state);
  await prepared(one);
  await undone(one);
  expect(state.storages.nested).toHaveProperty('disable');
  expect(state.storages['usb-backup']).not.toHaveProperty('disable');
});

test('whatever moment the agent is killed at, undo brings back what was', async () => {
  const whole = prepareHost(backupHost({ own: [] }));
  const before = whole.picture();
  await prepared(whole);
  const effects = whole.done.length;
  expect(effects).toBe(9);
  for (let dieAt = 1; dieAt <= effects; dieAt += 1) {
    const state = backupHost({ own: [] });
    await refused(prepared(prepareHost(state, { dieAt })));
    const next = prepareHost(state);
    expect(await undone(next), `killed at ${dieAt}`).toEqual([]);
    expect(next.picture(), `killed at ${dieAt}`).toEqual(before);
    // And the undoing may be cut short as well.
    for (let again = 1; again <= effects; again += 1) {
      const twice = backupHost({ own: [] });
      await prepared(prepareHost(twice));
      await undone(prepareHost(twice, { dieAt: again })).catch(() => undefined);
      expect(await undone(prepareHost(twice))).toEqual([]);
      expect(prepareHost(twice).picture()).toEqual(before);
    }
  }
});

test('killed half-way, prepare goes on where it was', async () => {
  for (let dieAt = 1; dieAt <= 9; dieAt += 1) {
    const state = backupHost({ own: [] });
    await refused(prepared(prepareHost(state, { dieAt })));
    const one = prepareHost(state);
    expect(await prepared(one)).toHaveLength(4);
    expect(state.mounts.filter(({ from }) => from === 'sdb1')).toEqual([]);
    await undone(one);
    expect(one.picture()).toEqual(prepareHost(backupHost()).picture());
  }
});

test('a step that fails undoes those before it', async () => {
  // The deeds, each but one after its writing down.
  for (const failAt of [2, 4, 6, 7, 9]) {
    const one = prepareHost(backupHost({ own: [] }), { failAt });
    const before = one.picture();
    const { message } = await refused(prepared(one));
    expect(message).toContain('Everything is as it was before.');
    expect(one.picture()).toEqual(before);
    expect(one.state.op.prepared).toEqual([]);
  }
});

test('whoever keeps it busy is named, and everything is as it was', async () => {
  const one = prepareHost(backupHost({ busy: new Set(['/mnt/usb']) }));
  const before = one.picture();
  const { code, message } = await refused(prepared(one));
  expect(code).toBe('drive-in-use');
  expect(message).toContain('Process 4711 (bash) uses /mnt/usb, which is on it.');
  expect(message).toMatch(/^But a backup of guest 101 was ended for it\..*felhom-agent backup run 101$/m);
  expect(one.picture()).toEqual(before);
  expect(one.state.op.prepared).toEqual([]);
});

test('held where only others see it, it is mounted again', async () => {
  const holders = [{ kind: 'mount', sentence: 'It is mounted at /x, seen inside guest 102.', vmid: 102, pid: 9 }] as const;
  const one = prepareHost(backupHost({ holders: [...holders] }));
  const before = one.picture();
  expect((await refused(prepared(one))).message).toContain('seen inside guest 102');
  expect(one.picture()).toEqual(before);
});

test('what stands on the drive by itself is left for root to close', async () => {
  const holders = [{ kind: 'device', sentence: 'The device dm-3 stands on it.', vmid: null, pid: null }] as const;
  expect(await prepared(prepareHost(backupHost({ holders: [...holders] })))).toHaveLength(4);
});

const COMMAND = (storage: string) => `INFO: starting new backup job: vzdump 102 --storage ${storage} --mode snapshot`;
const UPID = 'UPID:pve1:0000B1C2:0001A2B3:6920F2B0:vzdump:102:root@pam:';
const task = (log: string[]) => ({ upid: UPID, id: '102', user: 'root@pam', log });

test.each([
  ['onto it', task([COMMAND('usb-backup')]), /guest 102, started by root@pam.*usb-backup.*UPID:pve1/],
  ['to a place that cannot be told', task([]), /cannot be told/],
])("somebody else's vzdump %s is named and never ended", async (_what, foreign, sentence) => {
  const one = prepareHost(backupHost({ foreign: [foreign] }));
  expect((await refused(prepared(one))).message).toMatch(sentence);
  expect(one.done).toEqual([]);
});

test("somebody else's vzdump that began just before the storage was disabled is waited for by whoever asked", async () => {
  const state = backupHost();
  const one = prepareHost(state, {
    after: (what) => {
      if (what === 'disable usb-backup') state.foreign = [task([COMMAND('usb-backup')])];
    },
  });
  const before = one.picture();
  expect((await refused(prepared(one))).message).toContain(UPID);
  expect(one.picture()).toEqual(before);
  expect(state.own).toHaveLength(1);
});

test("somebody else's vzdump to another storage does not matter", async () => {
  expect(await prepared(prepareHost(backupHost({ foreign: [task([COMMAND('local')])] })))).toHaveLength(4);
});

const fstab = (point: string) => ({ host: { fstab: [{ spec: '/dev/sdb1', point, type: 'ext4', options: [] }] } }) as never;

test.each<[string, Partial<HostState>, RegExp]>([
  [
    'a system drive',
    {
      spec: { swaps: ['/dev/sdb2'], drives: [{ name: 'sdb', parts: [{ on: [{ type: 'ext4' }] }, { on: [{ type: 'swap' }] }] }] },
    },
    /system drive.*none of these.*swap space/s,
  ],
  [
    'an LVM',
    {
      spec: {
        lvm: [
          { device: '/dev/sdb1', group: 'pve' },
          { device: '/dev/sda3', group: 'root' },
        ],
      },
    },
    /volume group/,
  ],
  ['a guest that has it', { spec: { guests: { ct102: 'arch: amd64\nmp0: /mnt/usb/share,mp=/share\n' } } }, /guest 102 \(mp0\)/],
  [
    'something else mounted on top',
    {
      mounts: [
        { point: '/mnt/usb', from: 'sdb1' },
        { point: '/mnt/usb/x', from: 'sdc1' },
      ],
    },
    /\/mnt\/usb\/x/,
  ],
  [
    'a part of it that could not be mounted again',
    {
      mounts: [
        { point: '/srv/x', from: 'sdb1', root: '/x' },
        { point: '/mnt/usb', from: 'sdc1' },
      ],
    },
    /part of it|system/,
  ],
  [
    'a datastore',
    { spec: { host: { datastores: [{ name: 'pbs', path: '/mnt/usb/pbs', backingDevice: '' }] } } as never },
    /datastore remove pbs/,
  ],
])('%s is refused before anything is changed, with what to do', async (_what, more, sentence) => {
  const one = prepareHost(backupHost(more));
  expect((await refused(prepared(one))).message).toMatch(sentence);
  expect(one.done).toEqual([]);
});

test('of two that look the same none is taken out of use', async () => {
  const state = backupHost({ spec: { drives: ['sdb', 'sdc'].map((name) => ({ name, serial: 'S-sdb' })) }, own: [] });
  state.mounts.push({ point: '/mnt/other', from: 'sdc1' });
  state.storages.other = { type: 'dir', path: '/mnt/other', content: 'backup' };
  const one = prepareHost(state);
  expect((await refused(prepared(one))).message).toMatch(/sdb and sdc look the same/);
  expect(one.done).toEqual([]);
});

test('an operation that is over prepares nothing', async () => {
  const one = prepareHost(backupHost({ op: openOp({ state: 'expired' }) }));
  expect(await refused(prepared(one))).toMatchObject({ code: 'op-not-prepared' });
  expect(one.done).toEqual([]);
});

test('mounted twice, a part of it bound elsewhere: all go, the last first, and come back', async () => {
  const state = backupHost({
    own: [],
    storages: {
      'usb-backup': { type: 'dir', path: '/mnt/usb', content: 'backup' },
      second: { type: 'dir', path: '/srv/dump', content: 'backup' },
    },
    mounts: [
      { point: '/mnt/usb', from: 'sdb1' },
      { point: '/srv/dump', from: 'sdb1', root: '/dump' },
    ],
  });
  const one = prepareHost(state);
  const before = one.picture();
  await prepared(one);
  expect(one.done.filter((what) => what.startsWith('umount'))).toEqual(['umount /srv/dump', 'umount /mnt/usb']);
  await undone(one);
  expect(one.done).toContain('mount /mnt/usb/dump /srv/dump none bind');
  expect(one.picture()).toEqual(before);
});

describe('obstacles', () => {
  const obstacles = async (more: Partial<HostState>): Promise<string[]> => {
    const one = prepareHost(backupHost(more));
    const { prepare } = one;
    const { current } = one;
    return prepare.obstacles(current());
  };

  test('enabled storages and lines that would mount it again, each with what to do', async () => {
    const found = await obstacles({ spec: fstab('/mnt/usb') });
    expect(found).toEqual([
      expect.stringMatching(/storage "usb-backup" is enabled.*own disk/),
      expect.stringMatching(/storage "nested" is enabled/),
      expect.stringMatching(/line of \/etc\/fstab mounts it at \/mnt\/usb.*Take it out: \/dev\/sdb1 \/mnt\/usb/),
    ]);
  });

  test('a unit of its own', async () => {
    const units = [{ file: 'mnt-usb.mount', what: '/dev/sdb1', where: '/mnt/usb' }];
    expect(await obstacles({ spec: { host: { units } } as never })).toContainEqual(
      expect.stringMatching(/unit mnt-usb\.mount.*systemctl disable --now mnt-usb\.mount.*daemon-reload/),
    );
  });

  test('none when all is disabled and nothing would mount it; a storage that somebody enabled again is one, though the drive is unmounted', async () => {
    const one = prepareHost(backupHost({ own: [] }));
    await prepared(one);
    expect(await one.prepare.obstacles(one.current())).toEqual([]);
    const { disable: _disable, ...keys } = one.state.storages.nested ?? {};
    one.state.storages.nested = keys;
    expect(await one.prepare.obstacles(one.current())).toEqual([expect.stringMatching(/"nested" is enabled/)]);
  });
});

test('unmounted by hand, its storage is known from what was remembered of the drive', async () => {
  const state = backupHost({ mounts: [], own: [], remembered: 'Proxmox keeps backups on it (storage "usb-backup").' });
  delete state.storages['usb-backup']?.is_mountpoint;
  const one = prepareHost(state);
  expect(await one.prepare.obstacles(one.current())).toEqual([expect.stringMatching(/"usb-backup" is enabled/)]);
  await prepared(one);
  expect(one.done).toContain('disable usb-backup');
});

describe('afterwards', () => {
  test('while it is prepared the problem names what is out of use and the way back', async () => {
    const one = prepareHost(backupHost({ own: [] }));
    await prepared(one);
    await one.check();
    const problem = one.problems.get('storage-out-of-use');
    expect(problem).toMatchObject({
      sentence: expect.stringContaining('"usb-backup", "nested"'),
      nextStep: expect.stringContaining(`felhom-agent ops prepare ${OP_ID} --undo`),
    });
    await undone(one);
    await one.check();
    expect(one.problems.size).toBe(0);
  });

  const erase = ({ state }: PrepareHost): void => {
    state.op = { ...state.op, state: 'granted' };
    state.spec = { drives: [{ name: 'sdb', parts: [{ on: [{ type: 'ext4', uuid: '11111111-2222-4333-8444-555555555555' }] }] }] };
  };

  test('after the drive was erased nothing is enabled by itself, nor by --undo', async () => {
    const one = prepareHost(backupHost({ own: [] }));
    await prepared(one);
    erase(one);
    one.done.length = 0;
    const { message } = await refused(undone(one));
    expect(message).toMatch(/erased.*pvesm set usb-backup --disable 0.*pvesm remove usb-backup/s);
    await one.check();
    // That it was mounted there is of no use any more.
    expect(one.done).toEqual(['write 3']);
    expect(one.state.storages['usb-backup']).toHaveProperty('disable');
    expect(one.problems.get('storage-out-of-use')?.nextStep).toMatch(/erased.*pvesm set/s);
  });

  test('the problem goes when the storages were put to use otherwise, or taken out of Proxmox', async () => {
    const one = prepareHost(backupHost({ own: [] }));
    await prepared(one);
    erase(one);
    await one.check();
    delete one.state.storages['usb-backup'];
    delete one.state.jobs.nightly;
    one.state.storages.nested = { type: 'dir', path: '/mnt/new', content: 'backup' };
    await one.check();
    expect(one.problems.size).toBe(0);
    expect(one.state.op.prepared).toEqual([]);
  });

  test('a grant that was used up without a byte written can still be undone', async () => {
    const one = prepareHost(backupHost({ own: [] }));
    const before = one.picture();
    await prepared(one);
    one.state.op = { ...one.state.op, state: 'granted' };
    expect(await undone(one)).toEqual([]);
    expect(one.picture()).toEqual(before);
  });

  test('nor does it lose the way back while that is being found out, whether it was mounted or not', async () => {
    const state = backupHost({ own: [], remembered: 'Proxmox keeps backups on it (storage "usb-backup").' });
    delete state.storages['usb-backup']?.is_mountpoint;
    for (const mounts of [state.mounts, []]) {
      const one = prepareHost(structuredClone({ ...state, mounts }));
      const before = one.picture();
      await prepared(one);
      one.state.op = { ...one.state.op, state: 'granted', jobId: 'fmt-1' };
      one.state.formats['fmt-1'] = { state: 'running', phase: 'holding' };
      await one.check();
      expect((await refused(undone(one))).message).toMatch(/being erased now/);
      one.state.formats['fmt-1'] = { state: 'failed', phase: 'holding' };
      await one.check();
      expect(one.problems.get('storage-out-of-use')?.nextStep).toMatch(/If the drive is not to be erased: .* --undo\.$/);
      expect(await undone(one)).toEqual([]);
      expect(one.picture()).toEqual(before);
    }
  });

  test('a signature that comes while it is put back waits for that, and finds it in use again', async () => {
    const state = backupHost({ mounts: [], own: [], remembered: 'Proxmox keeps backups on it (storage "usb-backup").' });
    delete state.storages['usb-backup']?.is_mountpoint;
    const one = prepareHost(state);
    await prepared(one);
    const undoing = undone(one);
    const obstacles = one.inTurn(() => one.prepare.obstacles(one.current()));
    await undoing;
    expect(await obstacles).toEqual([expect.stringMatching(/"usb-backup" is enabled/)]);
  });
});

describe('another drive by now', () => {
  const withAnother = async (): Promise<PrepareHost> => {
    const one = prepareHost(backupHost({ own: [] }));
    await prepared(one);
    one.state.mounts = [{ point: '/mnt/usb', from: 'sdc1' }];
    for (const id of ['usb-backup', 'nested']) delete one.state.storages[id]?.disable;
    return one;
  };

  test('a storage that was given one is no obstacle, and is not taken from it', async () => {
    const one = await withAnother();
    one.state.remembered = 'Backups were seen on it.';
    expect(await one.prepare.obstacles(one.current())).toEqual([]);
    one.done.length = 0;
    await prepared(one);
    expect(one.done).not.toContain('disable usb-backup');
  });

  test('nor one that lies elsewhere by now', async () => {
    const one = prepareHost(backupHost({ own: [], remembered: 'Backups were seen on it.' }));
    await prepared(one);
    one.state.mounts = [{ point: '/mnt/new', from: 'sdc1' }];
    one.state.storages['usb-backup'] = { type: 'dir', path: '/mnt/new', content: 'backup' };
    expect(await one.prepare.obstacles(one.current())).toEqual([]);
    one.state.mounts = [];
    expect(await one.prepare.obstacles(one.current())).toEqual([expect.stringMatching(/"usb-backup" is enabled/)]);
  });

  test('the former one is not mounted over it', async () => {
    const one = await withAnother();
    const before = one.picture();
    expect((await refused(undone(one))).message).toMatch(/something else is mounted at \/mnt\/usb by now/);
    expect(one.picture()).toEqual(before);
  });
});

test('undoing for one operation what was done for another on the same drive: it is named, not said to be in use again', async () => {
  const one = prepareHost(backupHost({ own: [] }));
  await prepared(one);
  const other = openOp({ id: 'op-000000000000' });
  one.state.others = [other];
  one.done.length = 0;
  expect((await refused(one.prepare.undo(other))).message).toMatch(`felhom-agent ops prepare ${OP_ID} --undo`);
  expect(one.done).toEqual([]);
});

test('a storage whose drive cannot be mounted again stays disabled, and the command is told', async () => {
  const one = prepareHost(backupHost({ own: [] }));
  await prepared(one);
  one.state.spec = { drives: [{ name: 'sdx', serial: 'other' }] };
  const { message } = await refused(undone(one));
  expect(message).toMatch(/unmounted\. By hand: mount UUID=/);
  expect(one.state.storages['usb-backup']).toHaveProperty('disable');
  expect(one.state.op.prepared).toHaveLength(4);
});
