import { expect, test } from 'vitest';
import { createGuestDirectories } from '#agent/disks/in-guest/in-guest';
import type { GuestConfigFile } from '#agent/ports/proxmox-files';
import { parseMountinfo } from '#shared/mountinfo';

const LINE = 'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,ro,rslave,create=dir,optional 0 0';
const CONTAINER = 'arch: amd64\nrootfs: local:101/x,size=0T\nunprivileged: 1\n';
const directory = (vmid: number, device: string) =>
  `90 27 ${device} / /mnt/felhom/.guests/${vmid} rw shared:50 - tmpfs felhom rw`;
const INSIDE = '77 70 0:90 / /mnt/felhom ro shared:15 master:50 - tmpfs felhom rw';
const PHOTOS = [
  '91 90 8:17 / /mnt/felhom/.guests/101/photos rw shared:51 - ext4 /dev/sdb1 rw',
  '78 77 8:17 / /mnt/felhom/photos rw master:51 - ext4 /dev/sdb1 rw',
];

interface World {
  configs?: Record<number, Partial<GuestConfigFile>>;
  /** Mountinfo of running containers. */
  running?: Record<number, string[] | 'unreadable'>;
  host?: string[];
  /** Programs or directories that fail. */
  failing?: 'config' | 'read' | 'directory' | 'share';
}

const setup = ({ configs = { 101: { text: CONTAINER } }, running = {}, host = [], failing }: World = {}) => {
  const calls: string[] = [];
  const looked: number[] = [];
  const files = new Map(
    Object.entries(configs).map(([vmid, { type = 'lxc', text = '' }]) => [Number(vmid), { vmid: Number(vmid), type, text }]),
  );
  const fail = (what: World['failing']): void => {
    if (failing === what) throw new Error(`${what} fails`);
  };
  const directories = createGuestDirectories({
    mountRoot: '/mnt/felhom',
    configs: {
      read: async (vmid) => {
        fail('read');
        return files.get(vmid) ?? null;
      },
      all: async () => {
        fail('read');
        return [...files.values()];
      },
      changeContainer: async (vmid, change) => {
        fail('config');
        const file = files.get(vmid);
        if (file === undefined) throw new Error('gone');
        const text = change(file.text);
        if (text === file.text) return false;
        calls.push(`write ${vmid}`);
        files.set(vmid, { ...file, text });
        return true;
      },
    },
    directories: {
      ensure: async (path) => {
        fail('directory');
        calls.push(`ensure ${path}`);
      },
      remove: async (path) => {
        fail('directory');
        calls.push(`remove ${path}`);
      },
    },
    machines: {
      share: async (...args) => {
        fail('share');
        calls.push(`share ${args.join(' ')}`);
      },
      unshare: async (...args) => {
        calls.push(`unshare ${args.join(' ')}`);
      },
    },
    guests: {
      list: async (vmid) => {
        looked.push(vmid);
        const mounts = running[vmid];
        if (mounts === 'unreadable') throw new Error('hung');
        return mounts === undefined ? null : parseMountinfo(mounts.join('\n'));
      },
    },
    proc: { mountinfo: async () => host.join('\n') },
    journal: () => undefined,
  });
  return { directories, calls, looked, text: (vmid: number) => files.get(vmid)?.text };
};

test('enrolment makes the directory, and gives a container its line', async () => {
  const { directories, calls, text } = setup();
  await directories.prepare(101);
  expect(await directories.give(101)).toEqual({ note: '' });
  expect(calls).toEqual(['ensure /mnt/felhom/.guests/101', 'write 101']);
  expect(text(101)).toBe(`${CONTAINER}${LINE}\n`);
  await directories.give(101);
  expect(calls).toHaveLength(2);
  expect(directories.pointFor(101, 'photos')).toBe('/mnt/felhom/.guests/101/photos');
});

test.each([
  ['runs without it', { 101: [] as string[] }, /^Restart container 101 once/],
  ['runs with a former one', { 101: [INSIDE.replace('0:90', '0:44')] }, /^Restart container 101 once/],
  ['runs with it', { 101: [INSIDE] }, /^$/],
  ['runs, and cannot be looked into', { 101: 'unreadable' as const }, /^Restart container 101 once/],
  ['does not run', {}, /^$/],
])('a container that %s: what is left to be done', async (_what, running, note) => {
  const { directories } = setup({ running, host: [directory(101, '0:90')] });
  expect((await directories.give(101)).note).toMatch(note);
});

test.each([
  [
    'something else at our place',
    `${CONTAINER}mp0: local:vm-101-disk-1,mp=/mnt/felhom,size=8G\n`,
    /something else at \/mnt\/felhom \(mp0\)/,
  ],
  ["Proxmox's lock", `${CONTAINER}lock: backup\n`, /Proxmox has locked it \(backup\).*felhom-agent guest share 101/],
])('%s: the configuration stays as it is, and the operator is told', async (_what, before, note) => {
  const { directories, calls, text } = setup({ configs: { 101: { text: before } } });
  expect((await directories.give(101)).note).toMatch(note);
  expect(calls).toEqual([]);
  expect(text(101)).toBe(before);
});

test('a configuration that cannot be changed is told, not half changed', async () => {
  const { directories, text } = setup({ failing: 'config' });
  await expect(directories.give(101)).rejects.toMatchObject({
    code: 'mount-failed',
    message: expect.stringContaining('as it was'),
  });
  expect(text(101)).toBe(CONTAINER);
});

test.each(['read', 'directory'] as const)('nothing is prepared where the %s fails', async (failing) => {
  const { directories, calls } = setup({ failing });
  await expect(directories.prepare(101)).rejects.toMatchObject({ code: 'mount-failed' });
  expect(calls).toEqual([]);
});

test('a guest that is not here', async () => {
  const { directories } = setup();
  for (const ask of [directories.give(999), directories.share(999), directories.mappedRoot(999)])
    await expect(ask).rejects.toMatchObject({ code: 'guest-not-found' });
});

test('whom its root is', async () => {
  const { directories } = setup({
    configs: { 101: { text: CONTAINER }, 102: { text: 'lxc.idmap: u 7 7 1\n' }, 100: { type: 'qemu' } },
  });
  expect(await directories.mappedRoot(101)).toEqual({ uid: 100_000, gid: 100_000 });
  expect(await directories.mappedRoot(100)).toEqual({ uid: 0, gid: 0 });
  await expect(directories.mappedRoot(102)).rejects.toMatchObject({ code: 'mount-failed' });
});

test('where a drive shows', async () => {
  const [outside = '', inside = ''] = PHOTOS;
  const given = { 101: { text: `${CONTAINER}${LINE}\n` } };
  const host = [directory(101, '0:90'), outside];
  const shown = (world: World) => setup({ host, configs: given, ...world }).directories.shown(101, 'photos');
  expect(await shown({ running: { 101: [INSIDE, inside] } })).toEqual({ guestPath: '/mnt/felhom/photos', note: '' });
  for (const [world, note] of [
    [{ running: { 101: [INSIDE] } }, /restarted/],
    [{ running: { 101: [INSIDE, inside.replace('8:17', '8:18')] } }, /restarted/],
    [{ running: { 101: [INSIDE, inside.replace(' / /mnt', ' /sub /mnt')] } }, /restarted/],
    // Something that the guest has put over it.
    [{ running: { 101: [INSIDE, inside, inside.replace('8:17', '0:99')] } }, /restarted/],
    [{ running: { 101: [INSIDE, inside] }, host: [directory(101, '0:90')] }, /not mounted/],
    [{ running: { 101: 'unreadable' } }, /cannot be told/],
    [{}, /does not run/],
    [{ configs: { 101: { text: CONTAINER } } }, /Ask your operator \(felhom-agent guest share 101\)/],
    [{ configs: { 101: { text: CONTAINER } }, running: { 101: [] } }, /Ask your operator/],
  ] satisfies [World, RegExp][])
    expect(await shown(world)).toEqual({ guestPath: '', note: expect.stringMatching(note) });
});

test('a virtual machine is given nothing by itself; root shares the directory with it', async () => {
  const { directories, calls } = setup({ configs: { 100: { type: 'qemu', text: 'virtiofs0: media\n' } } });
  expect((await directories.give(100)).note).toMatch(/felhom-agent guest share 100 .*no longer be moved/);
  expect(calls).toEqual([]);
  expect((await directories.share(100)).note).toMatch(
    /Stop and start virtual machine 100 once.*mount -t virtiofs felhom-100 \/mnt\/felhom/,
  );
  expect(calls).toEqual(['ensure /mnt/felhom/.guests/100', 'share 100 virtiofs1 felhom-100 /mnt/felhom/.guests/100']);
});

test('a virtual machine that is shared with already', async () => {
  const { directories, calls } = setup({
    configs: { 100: { type: 'qemu', text: 'virtiofs2: dirid=felhom-100,cache=never\n' } },
    host: [directory(100, '0:90'), '91 90 8:17 / /mnt/felhom/.guests/100/photos rw shared:51 - ext4 /dev/sdb1 rw'],
  });
  expect(await directories.give(100)).toEqual({ note: '' });
  await directories.share(100);
  expect(calls).toEqual(['ensure /mnt/felhom/.guests/100']);
  expect(await directories.shown(100, 'photos')).toEqual({
    guestPath: '',
    note: expect.stringContaining('mount -t virtiofs felhom-100 /mnt/felhom'),
  });
});

test('a share that fails is told', async () => {
  const { directories } = setup({ configs: { 100: { type: 'qemu', text: '' } }, failing: 'share' });
  await expect(directories.share(100)).rejects.toMatchObject({ code: 'mount-failed' });
});

test('taken back: first from the guest, then altogether', async () => {
  const { directories, calls, text } = setup({
    configs: { 101: { text: `${CONTAINER}${LINE}\n[old]\n${LINE}\n` }, 100: { type: 'qemu', text: 'virtiofs2: felhom-100\n' } },
  });
  await directories.takeBack(101);
  expect(text(101)).toBe(`${CONTAINER}[old]\n${LINE}\n`);
  await directories.takeBack(100);
  await directories.takeBack(104);
  expect(calls).toEqual([
    'write 101',
    'remove /mnt/felhom/.guests/101',
    'unshare 100 virtiofs2 felhom-100',
    'remove /mnt/felhom/.guests/100',
    'remove /mnt/felhom/.guests/104',
  ]);
});

test('not taken back while a drive is mounted in it', async () => {
  const { directories, calls } = setup({ host: [directory(101, '0:90'), PHOTOS[0] ?? ''] });
  await expect(directories.takeBack(101)).rejects.toMatchObject({ code: 'drive-in-use' });
  expect(calls).toEqual([]);
});

test('a clone loses the line of the guest that it was made from, and keeps its own', async () => {
  const both = `${CONTAINER}${LINE.replace('101', '105')}\n`;
  const { directories, text } = setup({
    configs: {
      101: { text: `${CONTAINER}${LINE}\n` },
      105: { text: `${both}${LINE}\n` },
      106: { text: `${CONTAINER}${LINE}\n` },
    },
  });
  expect(await directories.guard()).toEqual([]);
  expect(text(101)).toBe(`${CONTAINER}${LINE}\n`);
  expect(text(105)).toBe(both);
  expect(text(106)).toBe(CONTAINER);
});

test.each([
  ['runs with the directory', { 105: { text: CONTAINER } }, { 105: [INSIDE] }],
  ['has it elsewhere than it was given', { 105: { text: CONTAINER } }, { 105: [INSIDE.replace('/mnt/felhom', '/srv')] }],
  ['is being worked on by Proxmox', { 105: { text: `${CONTAINER}lock: create\n${LINE}\n` } }, {}],
  ['is a virtual machine', { 105: { type: 'qemu' as const, text: 'virtiofs0: felhom-101\n' } }, {}],
])('a copy that %s: nothing is mounted for the original, and the copy is named', async (_what, copy, running) => {
  const { directories, calls } = setup({
    configs: { 101: { text: CONTAINER }, ...copy },
    running,
    host: [directory(101, '0:90')],
  });
  await expect(directories.prepare(101)).rejects.toMatchObject({
    code: 'mount-failed',
    message: expect.stringContaining('Guest 105 was made from guest 101'),
  });
  expect(await directories.guard()).toEqual([{ vmid: 105, of: 101 }]);
  await directories.prepare(105);
  expect(calls).toEqual(['ensure /mnt/felhom/.guests/105']);
});

test('whoever cannot be looked into is not taken for harmless', async () => {
  const { directories, calls } = setup({
    configs: { 101: { text: CONTAINER }, 105: { text: CONTAINER } },
    running: { 105: 'unreadable' },
    host: [directory(101, '0:90')],
  });
  await expect(directories.prepare(101)).rejects.toMatchObject({ code: 'mount-failed' });
  expect(calls).toEqual([]);
});

test('a clone that ran before its line was taken away is told of until it was restarted; others are not looked into again and again', async () => {
  const running: World['running'] = { 105: [INSIDE], 106: [] };
  const { directories, text, looked } = setup({
    configs: { 101: { text: `${CONTAINER}${LINE}\n` }, 105: { text: `${CONTAINER}${LINE}\n` }, 106: { text: CONTAINER } },
    running,
    host: [directory(101, '0:90')],
  });
  expect(await directories.guard()).toEqual([{ vmid: 105, of: 101 }]);
  expect(text(105)).toBe(CONTAINER);
  expect(await directories.guard()).toEqual([{ vmid: 105, of: 101 }]);
  running[105] = [];
  expect(await directories.guard()).toEqual([]);
  expect(await directories.guard()).toEqual([]);
  expect(looked).toEqual([105, 105, 105]);
});
