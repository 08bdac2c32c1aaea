import { Value } from 'typebox/value';
import { expect, test } from 'vitest';
import { type GuestResource, ProxmoxError, type Resources } from '#agent/ports/proxmox';
import { createNodeView } from '#agent/storage/node-view';
import { createGuestStorage } from '#agent/storage/service';
import { FelhomError } from '#shared/errors';
import { Coverage } from '#shared/wire/archives';
import { GuestStorage } from '#shared/wire/storage';
import { fakeClock } from '../fake-clock.ts';
import { fakeProc, fakeProxmox, fakeSysfs, NEVER, storageConfig, unreachable } from '../fake-host.ts';

const guest = (facts: Partial<GuestResource> = {}): GuestResource => ({
  vmid: 101,
  type: 'lxc',
  node: 'pve1',
  name: 'ct101',
  status: 'running',
  lock: '',
  usedBytes: null,
  diskBytes: null,
  ...facts,
});

const CONFIG = {
  rootfs: 'local:101/vm-101-disk-0.raw,size=8G',
  mp0: '/mnt/bak/photos,mp=/photos',
  mp1: 'nas:101/x.raw,mp=/x,backup=1',
  hostname: 'ct101',
};

type Answers = Parameters<typeof fakeProxmox>[0];

const setup = (answers: Answers = {}) => {
  const { clock, advance } = fakeClock();
  const given: Answers = {
    resources: async () => ({ guests: [guest()], storages: [] }),
    storages: async () => [storageConfig({}), storageConfig({ storage: 'nas', type: 'nfs', path: '/mnt/pve/nas' })],
    config: async () => CONFIG,
    ...answers,
  };
  const current = { ...given };
  const proxmox = fakeProxmox({
    resources: () => current.resources?.() ?? NEVER,
    storages: () => current.storages?.() ?? NEVER,
    config: () => current.config?.() ?? NEVER,
  });
  const view = createNodeView({ clock, proxmox, proc: fakeProc(clock.monotonic), sysfs: fakeSysfs() });
  return { storage: createGuestStorage({ clock, proxmox, view }), advance, proxmox, current, given };
};

const refused = (resources: () => Promise<Resources>) => ({ resources });
const proxmoxError = (status: number) =>
  new ProxmoxError({ method: 'GET', path: '/x', status, message: 'secret detail', effect: 'never' });

test("a guest's mounts, with where they lie and what a backup includes", async () => {
  const { storage } = setup();
  const answer = await storage.list(101);
  expect(answer).toEqual({
    vmid: 101,
    age_seconds: 0,
    mounts: [
      { key: 'rootfs', storage: 'local', mount_point: '/', class: 'fast', backup: true },
      { key: 'mp0', storage: '', mount_point: '/photos', class: 'slow', backup: false },
      { key: 'mp1', storage: 'nas', mount_point: '/x', class: '', backup: true },
    ],
  });
  expect(Value.Check(GuestStorage, answer)).toBe(true);
});

test('a virtual machine is asked for as one', async () => {
  const { storage, proxmox } = setup(refused(async () => ({ guests: [guest({ type: 'qemu' })], storages: [] })));
  await storage.list(101);
  expect(proxmox.calls).toContain('config qemu 101');
});

test('a thousand calls in a few seconds ask Proxmox once; each guest for itself', async () => {
  const { storage, proxmox, advance } = setup({
    resources: async () => ({ guests: [guest(), guest({ vmid: 102 })], storages: [] }),
  });
  for (let step = 0; step < 10; step += 1) {
    await Promise.all(Array.from({ length: 100 }, () => storage.list(101)));
    await advance(400);
  }
  await storage.list(102);
  expect(proxmox.calls.sort()).toEqual(['config lxc 101', 'config lxc 102', 'resources', 'storages']);
  expect(await storage.list(101)).toMatchObject({ age_seconds: 4 });
});

test('a cached answer costs microseconds', async () => {
  const { storage } = setup();
  await storage.list(101);
  const before = performance.now();
  for (let call = 0; call < 10_000; call += 1) await storage.list(101);
  expect(performance.now() - before).toBeLessThan(500);
});

test.each([
  ['is not shown', async () => ({ guests: [guest({ vmid: 999 })], storages: [] }), 'guest-not-found'],
  ['is on another node', async () => ({ guests: [guest({ node: 'pve2' })], storages: [] }), 'guest-elsewhere'],
  ['cannot be asked for: refused connection', () => Promise.reject(unreachable()), 'proxmox-unreachable'],
  ['cannot be asked for: 596', () => Promise.reject(unreachable(596)), 'proxmox-unreachable'],
  ['may not be read', () => Promise.reject(proxmoxError(403)), 'proxmox-permission'],
  ['meets an error of Proxmox', () => Promise.reject(proxmoxError(500)), 'proxmox-failed'],
  ['is refused with the token', () => Promise.reject(proxmoxError(401)), 'proxmox-permission'],
  ['meets a fault of ours', () => Promise.reject(new TypeError('secret detail')), 'not-known'],
  ['meets an error of ours', () => Promise.reject(new FelhomError('proxmox-permission', 'No right.')), 'proxmox-permission'],
])('a guest that %s: %s', async (_what, resources, code) => {
  const { storage } = setup(refused(resources as () => Promise<Resources>));
  const error = await storage.list(101).then(
    () => expect.fail('it should have been refused'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FelhomError);
  expect(error).toMatchObject({ code });
  expect((error as FelhomError).message).not.toContain('secret');
});

test('with Proxmox down the last known answer comes with its age', async () => {
  const { storage, current, advance } = setup();
  await storage.list(101);
  current.resources = () => Promise.reject(unreachable());
  await advance(60_000);
  expect(await storage.list(101)).toMatchObject({ age_seconds: 60, mounts: [{ key: 'rootfs' }, { key: 'mp0' }, { key: 'mp1' }] });
});

test('a configuration that can no longer be read gives the last known one', async () => {
  const { storage, current, advance } = setup();
  await storage.list(101);
  current.config = () => Promise.reject(proxmoxError(500));
  await advance(10_000);
  expect(await storage.list(101)).toMatchObject({ age_seconds: 10 });
});

test('a guest that moved away is not answered from memory', async () => {
  const { storage, current, advance } = setup();
  await storage.list(101);
  current.resources = async () => ({ guests: [guest({ node: 'pve2' })], storages: [] });
  await advance(10_000);
  await expect(storage.list(101)).rejects.toMatchObject({ code: 'guest-elsewhere' });
});

test.each(['resources', 'config'] as const)('a Proxmox that hangs at %s: an answer within 10 s', async (call) => {
  const { storage, advance } = setup({ [call]: () => NEVER });
  let refusal: unknown;
  void storage.list(101).catch((error: unknown) => {
    refusal = error;
  });
  await advance(10_000);
  expect(refusal).toMatchObject({ code: 'proxmox-unreachable' });
});

test('without the drives or the storage configuration the classes are unknown, the rest is there', async () => {
  const { storage } = setup({ storages: () => Promise.reject(unreachable()) });
  expect((await storage.list(101)).mounts.map((mount) => mount.class)).toEqual(['', 'slow', '']);
});

test('the coverage comes from the same reading as the mounts, with its age', async () => {
  const { storage, proxmox, current, advance } = setup();
  const [, coverage] = await Promise.all([storage.list(101), storage.coverage(101)]);
  expect(Value.Errors(Coverage, coverage)).toEqual([]);
  expect(coverage.mounts.map(({ key, state }) => [key, state])).toEqual([
    ['rootfs', 'in-backup'],
    ['mp0', 'bind'],
    ['mp1', 'in-backup'],
  ]);
  expect(proxmox.calls.filter((call) => call.startsWith('config'))).toHaveLength(1);
  current.resources = () => Promise.reject(unreachable());
  await advance(60_000);
  expect(await storage.coverage(101)).toMatchObject({ age_seconds: 60, mounts: coverage.mounts });
});

test('a coverage that nobody knows is an error, never an empty list', async () => {
  const { storage } = setup(refused(() => Promise.reject(unreachable())));
  await expect(storage.coverage(101)).rejects.toMatchObject({ code: 'proxmox-unreachable' });
});
