/** The order of what is done, and what happens when a step fails: on a host in memory. Real devices are in test/system/drives. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandError } from '#agent/ports/command';
import { DriveCheckError } from '#agent/ports/drive-check';
import { unitsOf } from '#agent/ports/mount-units';
import { StoreError } from '#agent/ports/store';
import { udevRules } from '#agent/ports/udev-rules';
import { FelhomError } from '#shared/errors';
import { deedsHost, INSTANCE, MOUNT_ROOT, UUID, userDrive } from '../deeds-host.ts';
import { madeEvidence, madeRecord } from '../made.ts';

const PHOTOS = `${MOUNT_ROOT}/photos`;
const GUEST = `${MOUNT_ROOT}/.guests/101/photos`;

const codeOf = (deed: Promise<unknown>): Promise<string> =>
  deed.then(
    () => 'done',
    (error: unknown) => (error instanceof FelhomError ? error.code : String(error)),
  );

const assigned = async (change: Parameters<typeof deedsHost>[0] = {}) => {
  const host = deedsHost(change);
  await host.assign();
  host.done.length = 0;
  return host;
};

/** Nothing of the deed is left. */
const assertNothing = ({ state }: ReturnType<typeof deedsHost>): void => {
  expect(state.mounts).toEqual([]);
  expect([...state.directories]).toEqual([]);
  expect(state.assignments).toEqual([]);
};

describe('assign', () => {
  test('everything is written down before the first step, and the last step says that all are done', async () => {
    const host = deedsHost();
    expect(await host.assign()).toEqual({ vmid: 101, uuid: UUID, where: PHOTOS, guest_path: '/mnt/felhom/photos', note: '' });
    expect(host.done.map((one) => one.replace(/photos\.[0-9a-f]{12}/, 'LINK'))).toEqual([
      'row assigning',
      'owner 101',
      'audit drive-assigned',
      'prepare 101',
      `make ${PHOTOS}`,
      `protect ${PHOTOS}`,
      'keep LINK',
      `mount ${PHOTOS}`,
      `chown --no-dereference 100000:100000 -- ${PHOTOS}`,
      'prepare 101',
      `make ${GUEST}`,
      `protect ${GUEST}`,
      `show ${GUEST}`,
      'row assigned',
    ]);
    expect(host.state.assignments).toMatchObject([
      { options: 'nosuid,nodev,errors=remount-ro', match: { serial: 'S1', wwn: '' }, drive: 1, vmid: 101 },
    ]);
    expect(host.state.records[0]?.owner).toMatchObject({ vmid: 101, instance: INSTANCE });
  });

  test.each([
    ['row', new StoreError('disk full', 'SQLITE_FULL'), 'StoreError: disk full'],
    ['owner', new StoreError('disk full', 'SQLITE_FULL'), 'StoreError: disk full'],
    ['audit', new StoreError('disk full', 'SQLITE_FULL'), 'StoreError: disk full'],
    ['prepare', new FelhomError('mount-failed', 'no'), 'mount-failed'],
    ['make', new Error('EROFS'), 'mount-failed'],
    ['keep', new Error('EROFS'), 'mount-failed'],
    ['mount', new CommandError('mount', 'exit', 'wrong fs type', 32), 'mount-failed'],
    ['mount', new CommandError('mount', 'timeout'), 'drive-not-answering'],
    ['mount', new CommandError('mount', 'start'), 'mount-failed'],
    ['chown', new CommandError('chown', 'exit', 'EIO', 1), 'mount-failed'],
    ['show', new CommandError('mount', 'exit', 'busy', 32), 'mount-failed'],
  ])('when %s fails, all is undone', async (what, error, code) => {
    const host = deedsHost({ failures: new Map([[what, error]]) });
    expect(await codeOf(host.assign())).toBe(code);
    assertNothing(host);
    expect(host.state.records[0]?.owner).toBeNull();
    expect(await codeOf(host.assign())).toBe('done');
  });

  const passing = { kind: 'process' as const, sentence: 'Process 7 (pvscan) has /dev/sdb open.', vmid: null, pid: 7 };
  test.each([
    ['who only looks at it is waited for', [[passing], [{ ...passing, kind: 'exclusive' as const }]], 'done'],
    ['who stays is named', Array.from({ length: 4 }, () => [passing]), 'drive-in-use'],
    ['a mount is not waited for', [[{ ...passing, kind: 'mount' as const }]], 'drive-in-use'],
  ])('%s', async (_what, holders, code) => {
    const host = deedsHost({ holders });
    const deed = codeOf(host.assign());
    await host.advance(2_000);
    expect(await deed).toBe(code);
    expect(holders).toEqual([]);
  });

  test('an owner of before stays the owner when an assign is undone', async () => {
    const owner = { vmid: 101, instance: INSTANCE, since: 5 };
    const drive = userDrive({ record: madeRecord({ owner }) });
    const host = deedsHost({ drives: [drive], failures: new Map([['mount', new Error('no')]]) });
    expect(await codeOf(host.assign())).toBe('mount-failed');
    expect(host.state.records[0]?.owner).toEqual(owner);
  });

  test('an owner of the root directory is restored when the rest fails', async () => {
    const host = deedsHost({ owner: { uid: 1000, gid: 1000 }, failures: new Map([['show', new Error('no')]]) });
    await codeOf(host.assign());
    expect(host.done.filter((one) => one.startsWith('chown'))).toEqual([
      `chown --no-dereference 100000:100000 -- ${PHOTOS}`,
      `chown --no-dereference 1000:1000 -- ${PHOTOS}`,
    ]);
  });

  test.each([
    ['the guest’s root', { uid: 100_000, gid: 100_000 }, {}, 0],
    ['a user of the guest', { uid: 165_535, gid: 0 }, {}, 0],
    ['another guest’s user', { uid: 165_536, gid: 0 }, {}, 1],
    ['somebody, read-only', { uid: 1000, gid: 1000 }, { options: 'ro' }, 0],
  ])('a root directory of %s is changed as it should be', async (_what, owner, body, times) => {
    const host = deedsHost({ owner });
    await host.assign(body);
    expect(host.done.filter((one) => one.startsWith('chown'))).toHaveLength(times);
  });

  test('the UUID is the file system’s own, in whatever letters it was asked for', async () => {
    const host = deedsHost();
    expect(await host.assign({ uuid: UUID.toUpperCase() })).toMatchObject({ uuid: UUID });
    expect(host.state.assignments).toMatchObject([{ uuid: UUID }]);
    expect(await host.assign()).toMatchObject({ uuid: UUID, where: PHOTOS });
  });

  test('what got mounted instead is unmounted, and not shown', async () => {
    const host = deedsHost();
    const { mounts } = host.ports;
    const real = mounts.mount;
    mounts.mount = async (spec, device) => {
      await real(spec, device);
      host.state.mounts = host.state.mounts.map((mount) => ({ ...mount, device: '253:4', source: '/dev/mapper/evil' }));
    };
    expect(await codeOf(host.assign())).toBe('mount-failed');
    expect(host.done.filter((one) => /^(show|chown)/.test(one))).toEqual([]);
    assertNothing(host);
  });

  test.each([
    ['nobody has it', { drives: [] }, {}, 'drive-not-found'],
    ['two have it', { drives: [userDrive(), userDrive({ name: 'sdc' })] }, {}, 'drive-ambiguous'],
    ['it has a twin', { drives: [userDrive({ twins: ['sdz'] })] }, {}, 'drive-ambiguous'],
    ['it is the host’s', { drives: [userDrive({ role: 'system' })] }, {}, 'drive-protected'],
    ['it holds backups', { drives: [userDrive({ role: 'backup' })] }, {}, 'drive-protected'],
    ['it does not answer', { drives: [userDrive({ state: 'not-answering' })] }, {}, 'drive-not-answering'],
    ['it is not on record', { drives: [userDrive({ record: null })] }, {}, 'not-known'],
    ['the type is another', {}, { fstype: 'xfs' }, 'filesystem-not-supported'],
    ['drives are not changed', { writesOff: 'The agent cannot see it all.' }, {}, 'drive-writes-off'],
    ['the uuid is none', {}, { uuid: '../by-label/x' }, 'invalid-request'],
    ['the uuid is too short', {}, { uuid: 'abc' }, 'invalid-request'],
    ['the option is another', {}, { options: 'suid' }, 'mount-option-refused'],
    ['the place is outside', {}, { where: '/mnt/felhom/../x' }, 'mount-point-refused'],
  ] as const)('refused where %s, and nothing is done', async (_what, state, body, code) => {
    const host = deedsHost(state as Partial<Parameters<typeof deedsHost>[0]>);
    expect(await codeOf(host.assign(body))).toBe(code);
    expect(host.done).toEqual([]);
  });

  test('it is assigned, whether or not it can be told where it shows', async () => {
    const host = deedsHost();
    host.ports.guests.shown = async () => {
      throw new FelhomError('guest-not-found', 'no');
    };
    expect(await host.assign()).toMatchObject({ where: PHOTOS, guest_path: '', note: expect.stringContaining('cannot be told') });
  });

  test('a guest’s own virtual disk with the same UUID is no duplicate', async () => {
    const host = deedsHost({ drives: [userDrive(), userDrive({ name: 'sdc', role: 'system' })] });
    expect(await codeOf(host.assign())).toBe('done');
  });

  test('a file system that the operator does not want mounted is refused', async () => {
    const host = deedsHost();
    host.ports.settings = () => ({ filesystems: ['xfs'] });
    const { createDeeds } = await import('#agent/disks/deeds/deeds');
    expect(await codeOf(createDeeds(host.ports).assign(101, { uuid: UUID, where: PHOTOS, fstype: 'ext4' }))).toBe(
      'filesystem-not-supported',
    );
  });

  test('a mount that takes long is joined by who asks again', async () => {
    const host = deedsHost();
    const { mounts } = host.ports;
    const real = mounts.mount;
    let go = () => undefined as undefined;
    const waiting = new Promise<void>((resolve) => {
      go = () => void resolve();
    });
    mounts.mount = (spec, device) => waiting.then(() => real(spec, device));
    const first = codeOf(host.assign());
    await host.advance(9_000);
    expect(await first).toBe('drive-not-answering');
    const second = codeOf(host.assign());
    go();
    expect(await second).toBe('done');
    expect(host.done.filter((one) => one.startsWith('mount '))).toHaveLength(1);
  });
});

describe('whatever a customer or a drive says', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: fc.constantFrom('a', '0', '-', '/', '.', '%', '\n', '"', "'", '\\', ' ', ',', '='), maxLength: 40 }),
    fc.constantFrom(UUID, 'ext4', 'btrfs', 'ro', PHOTOS, `${MOUNT_ROOT}/../etc`, '/etc/pve', '/', ''),
  );

  test('nothing outside the mount root is touched, and no unit or rule gains a line', async () => {
    const lines = (text: string): number => text.split('\n').length;
    await fc.assert(
      fc.asyncProperty(
        fc.record({ uuid: anything, where: anything, fstype: anything, options: anything }),
        anything,
        async (body, text) => {
          // The drive carries whatever the customer asks for, and says of itself whatever it likes.
          const drive = userDrive({ identity: { ...userDrive().identity, serial: text, wwn: text, model: text } }, body.uuid);
          const host = deedsHost({
            drives: [{ ...drive, filesystems: drive.filesystems.map((one) => ({ ...one, label: text })) }],
          });
          await codeOf(host.assign(body));
          for (const path of host.done.flatMap((one) => /^(?:make|protect|mount|show) (.*)$/s.exec(one)?.[1] ?? []))
            expect(path).toMatch(/^\/mnt\/felhom\/(\.guests\/101\/)?[a-z0-9][a-z0-9_-]{0,31}$/);
          for (const { mountPoint, link, uuid, fstype, options, match } of host.state.assignments) {
            const spec = { mountPoint, guestPoint: `${MOUNT_ROOT}/.guests/101/x`, link, uuid, fstype, options, match };
            expect(unitsOf(spec, true).map((unit) => lines(unit.text))).toEqual([19, 20]);
            expect(lines(udevRules([spec]))).toBe(7);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test('and with a request that is as it should be, a drive’s own words change nothing of its units', async () => {
    await fc.assert(
      fc.asyncProperty(anything, anything, async (serial, label) => {
        const drive = userDrive({ identity: { ...userDrive().identity, serial, wwn: serial, model: label } });
        const host = deedsHost({ drives: [{ ...drive, filesystems: drive.filesystems.map((one) => ({ ...one, label })) }] });
        expect(await codeOf(host.assign())).toBe('done');
        const [row] = host.state.assignments;
        expect(row?.link).toMatch(/^photos\.[0-9a-f]{12}$/);
        if (row !== undefined) expect(lines_(udevRules([{ ...row, guestPoint: GUEST }]))).toBe(7);
      }),
      { numRuns: 200 },
    );
  });
});

const lines_ = (text: string): number => text.split('\n').length;

describe('eject', () => {
  test('it is proved free and flushed before anything is taken away, and the row goes last', async () => {
    const host = await assigned();
    expect(await host.eject()).toEqual({ vmid: 101, ejected: true, dependent_guests: [] });
    expect(host.done.map((one) => one.replace(/photos\.[0-9a-f]{12}/, 'LINK'))).toEqual([
      'row ejecting',
      `sync -f -- ${PHOTOS}`,
      `unmount ${PHOTOS}`,
      'flush /dev/sdb',
      'audit drive-ejected',
      `unmount ${PHOTOS}`,
      'drop LINK',
      `remove ${GUEST}`,
      `remove ${PHOTOS}`,
      'row removed',
    ]);
    assertNothing(host);
  });

  test.each([
    ['it stays busy', { exclusive: Array.from({ length: 5 }, () => 'busy' as const) }, 'drive-in-use'],
    [
      'a umount finds it busy',
      { failures: new Map([['unmount', new CommandError('umount', 'exit', 'target is busy', 32)]]) },
      'drive-in-use',
    ],
    ['a umount hangs', { failures: new Map([['unmount', new CommandError('umount', 'timeout')]]) }, 'drive-not-answering'],
    ['a write fails', { failures: new Map([['sync', new CommandError('sync', 'exit', 'EIO', 1)]]) }, 'drive-not-answering'],
    [
      'the flush fails',
      { failures: new Map([['flush', new DriveCheckError('flush', 'failed', 'EIO', 'EIO')]]) },
      'drive-not-answering',
    ],
  ])('when %s, it is as it was before and not called ejected', async (_what, change, code) => {
    const host = await assigned();
    Object.assign(host.state, change);
    const ended = host.eject().catch((error: FelhomError) => error);
    await host.advance(5_000);
    const error = await ended;
    expect(error).toMatchObject({ code, message: expect.stringContaining('do not unplug') });
    expect(host.state.mounts.map(({ point }) => point).sort()).toEqual([GUEST, PHOTOS]);
    expect(host.state.assignments).toMatchObject([{ state: 'assigned' }]);
    expect(host.done).not.toContain('audit drive-ejected');
  });

  test.each([
    ['another guest’s', PHOTOS, 105],
    ['not a row', '/', 101],
    ['a place below', `${PHOTOS}/x`, 101],
  ])('%s is refused, and nothing is done', async (_what, where, vmid) => {
    const host = await assigned();
    expect(await codeOf(host.eject(where, vmid))).toBe('not-assigned');
    expect(host.done).toEqual([]);
  });

  test('a guest that has only the number cannot take it out; root can', async () => {
    const host = await assigned();
    host.state.instances = new Map([[101, 'net:new']]);
    expect(await codeOf(host.eject())).toBe('drive-unknown-owner');
    expect(host.done).toEqual([]);
    expect(await host.deeds.eject(101, { where: PHOTOS }, 'root')).toMatchObject({ ejected: true });
    assertNothing(host);
  });

  test.each(['proxmox', 'mounts'] as const)('while it cannot be told who depends on it (%s), it stays', async (source) => {
    const host = await assigned();
    host.state.evidence = madeEvidence({ [source]: { known: false, why: 'no' } });
    expect(await codeOf(host.eject())).toBe('not-known');
    expect(host.done).toEqual([]);
  });

  test('users are named: those of the guest with what they do, another guest’s by its number only', async () => {
    const host = await assigned();
    const user = { pid: 7, what: 'file', path: '/mnt/felhom/photos/db' } as const;
    host.state.users = [
      { ...user, command: 'postgres\u0007', vmid: 101 },
      { ...user, command: 'secret', vmid: 105 },
      { ...user, command: 'bash', vmid: null },
    ];
    expect(await host.eject().catch((error: FelhomError) => error)).toMatchObject({
      code: 'drive-in-use',
      message:
        'It is still used by "postgres" in this guest (/mnt/felhom/photos/db), guest 105, "bash" on the server (process 7). The drive was not ejected: do not unplug it. End that use, then eject again.',
      details: { dependentGuests: [101, 105] },
    });
  });

  test('a drive that is out already is let go, its dead mount cut off', async () => {
    const host = await assigned();
    host.state.drives = [];
    host.state.devices = [];
    expect(await host.eject()).toMatchObject({ ejected: true });
    expect(host.done).toContain(`cutOff ${PHOTOS}`);
    expect(host.done.some((one) => one.startsWith('flush'))).toBe(false);
    assertNothing(host);
  });

  test('what took longer than a call is told to who asks again', async () => {
    const host = await assigned();
    const { mounts } = host.ports;
    const real = mounts.unmount;
    let go = () => undefined as undefined;
    const waiting = new Promise<void>((resolve) => {
      go = () => void resolve();
    });
    mounts.unmount = (spec) => waiting.then(() => real(spec));
    const first = host.eject().catch((error: FelhomError) => error);
    await host.advance(9_000);
    expect(await first).toMatchObject({ code: 'drive-not-answering', message: expect.stringContaining('do not unplug') });
    go();
    await host.advance(1_000);
    expect(host.state.assignments).toEqual([]);
    expect(await host.eject()).toMatchObject({ ejected: true });
    expect(await codeOf(host.eject())).toBe('not-assigned');
  });

  test('that it was ejected late is not said of what was connected again since; nor that it was connected of what was ejected', async () => {
    const host = await assigned();
    const { mounts } = host.ports;
    const { unmount, mount } = mounts;
    const pause = () => new Promise<void>((resolve) => void host.ports.clock.after(9_500, resolve));
    mounts.unmount = async (spec) => {
      await pause();
      return unmount(spec);
    };
    const ejected = codeOf(host.eject());
    await host.advance(9_000);
    expect(await ejected).toBe('drive-not-answering');
    await host.advance(12_000);
    expect(host.state.assignments).toEqual([]);
    mounts.unmount = unmount;
    await host.assign();
    host.done.length = 0;
    expect(await host.eject()).toMatchObject({ ejected: true });
    expect(host.done).toContain('flush /dev/sdb');
    assertNothing(host);

    mounts.mount = async (spec, device) => {
      await pause();
      return mount(spec, device);
    };
    const connected = codeOf(host.assign());
    await host.advance(9_000);
    expect(await connected).toBe('drive-not-answering');
    await host.advance(2_000);
    expect(host.state.assignments).toHaveLength(1);
    mounts.mount = mount;
    await host.eject();
    await host.assign();
    expect(host.state.mounts.map(({ point }) => point)).toEqual([PHOTOS, GUEST]);
  });
});
