import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { boundDurableId } from '#agent/disks/durable-id';
import type { Drive } from '#agent/disks/inventory/drive';
import { insertDrive } from '#agent/disks/known/record-rows';
import type { Op } from '#agent/ops/op';
import { loadRegister, type Register } from '#agent/ops/register';
import type { Store } from '#agent/ports/store';
import { madeFilesystem, madeRecord } from '../disks/made.ts';
import { fakeClock } from '../fake-clock.ts';
import { backupDrive, DAY, NOW } from './grant-world.ts';
import { openPlainStore } from './plain-store.ts';

let dir: string;
let store: Store;
let register: Register;
let time: ReturnType<typeof fakeClock>;
/** Between the decision to open one and its row. */
let beforeOpening: () => Promise<void>;

const load = async (bootId = 'boot-1'): Promise<void> => {
  const { clock } = time;
  const hooked: Pick<Store, 'all' | 'write'> = {
    ...store,
    write: async (...statements) => {
      if (statements.length > 1) await beforeOpening();
      return store.write(...statements);
    },
  };
  register = await loadRegister({ store: hooked, clock, boot: { bootId, ms: () => clock.monotonic() }, maxAgeMs: () => DAY });
};
const drive = (id = 1, facts: Parameters<typeof backupDrive>[0] = {}): Drive =>
  backupDrive({ record: madeRecord({ id }), ...facts });
const ask = (one: Drive = drive(), vmid = 101, fstype: 'ext4' | 'xfs' = 'ext4', instance = `net:${vmid}`): Promise<Op> =>
  register.open(one, { vmid, fstype, owner: { vmid, instance, since: 0 } });
const states = (): string[] => register.all().map(({ state }) => state);

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-ops-'));
  store = openPlainStore(join(dir, 'felhom.db'));
  time = fakeClock(NOW);
  beforeOpening = async () => undefined;
  for (let id = 1; id <= 40; id += 1) await store.write(...insertDrive(madeRecord({ id })));
  await load();
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

test('an operation is bound to its drive, its guest and what it makes, and is the same after a restart', async () => {
  const op = await ask();
  expect(op).toMatchObject({
    op: 'storage_wipe',
    vmid: 101,
    instance: 'net:101',
    drive: 1,
    device: 'sdb',
    role: 'backup',
    state: 'open',
  });
  expect(op.id).toMatch(/^op-[0-9a-z]{12}$/);
  expect(op.nonce).toHaveLength(16);
  expect(op.durableId).toBe(boundDurableId(drive(), op));
  await load('boot-2');
  expect(register.find(op.id)).toEqual(op);
  expect(boundDurableId(drive(), register.find(op.id) as Op)).toBe(op.durableId);
});

test('the same asked again is the same; another file system or a changed drive closes the former', async () => {
  const first = await ask();
  expect((await ask()).id).toBe(first.id);
  const second = await ask(drive(), 101, 'xfs');
  expect([second.id === first.id, register.find(first.id)?.state, states()]).toEqual([false, 'closed', ['open', 'closed']]);
  const third = await ask(drive(1, { filesystems: [madeFilesystem({ label: 'renamed' })] }), 101, 'xfs');
  expect([register.find(second.id)?.state, third.state]).toEqual(['closed', 'open']);
  expect((await ask(drive(1, { filesystems: [madeFilesystem({ label: 'renamed' })] }), 101, 'xfs', 'net:anew')).id).not.toBe(
    third.id,
  );
});

test('a guest with one more network card is the same; a granted one is shown for a week and known for ever', async () => {
  const one = await ask(drive(), 101, 'ext4', 'net:aa');
  expect((await ask(drive(), 101, 'ext4', 'net:aa,bb')).id).toBe(one.id);
  const granting = register.granting(register.find(one.id) as never, 'fmt-1', 'bela (key k)');
  await store.write(granting.statement);
  granting.applied();
  await time.advance(8 * DAY);
  await register.tick();
  expect([register.recent(), register.find(one.id)?.state]).toEqual([[], 'granted']);
});

test('two guests have an operation each on the same drive', async () => {
  const [one, other] = [await ask(drive(), 101), await ask(drive(), 105)];
  expect(one.durableId).not.toBe(other.durableId);
  expect(states()).toEqual(['open', 'open']);
});

test('8 of one guest and 32 of the host wait at most; one that is replaced leaves its place', async () => {
  for (let id = 1; id <= 8; id += 1) await ask(drive(id));
  await expect(ask(drive(9))).rejects.toMatchObject({
    code: 'too-many-ops',
    message: expect.stringMatching(/^8 operations of this guest/),
  });
  await expect(ask(drive(8), 101, 'xfs')).resolves.toMatchObject({ state: 'open' });
  for (let id = 9; id <= 32; id += 1) await ask(drive(id), 100 + id);
  await expect(ask(drive(33), 109)).rejects.toMatchObject({
    code: 'too-many-ops',
    message: expect.stringMatching(/^Too many operations of this host/),
  });
  await time.advance(DAY);
  await expect(ask(drive(33), 109)).resolves.toMatchObject({ state: 'open' });
});

test('guests that ask for all that there is do not keep another from asking', async () => {
  for (const vmid of [102, 103, 104, 105]) for (let id = 1; id <= 8; id += 1) await ask(drive(id), vmid);
  await expect(ask(drive(1), 101)).resolves.toMatchObject({ state: 'open' });
  await expect(ask(drive(2), 101)).rejects.toMatchObject({ code: 'too-many-ops' });
});

test('a guest that asks for one thing and another, again and again, does not fill the audit; what it asked for last stays', async () => {
  const asked: string[] = [];
  for (let turn = 0; turn < 200; turn += 1)
    await ask(drive(), 101, turn % 2 === 0 ? 'ext4' : 'xfs').then(
      ({ id }) => asked.push(id),
      (error: unknown) => expect(error).toMatchObject({ code: 'too-many-ops' }),
    );
  expect(await store.all("SELECT id FROM audit WHERE what = 'op-opened'")).toHaveLength(30);
  const last = register.find(asked.at(-1) ?? '');
  expect(last?.state).toBe('open');
  await expect(ask(drive(), 101, last?.fstype as 'ext4')).resolves.toMatchObject({ id: last?.id });
  await expect(ask(drive(), 105)).resolves.toMatchObject({ state: 'open' });
  await time.advance(3_600_000);
  await expect(ask(drive(), 101, last?.fstype === 'xfs' ? 'ext4' : 'xfs')).resolves.toMatchObject({ state: 'open' });
});

test('what is over stays for a week; who asks and asks leaves 8 of them behind', async () => {
  for (let turn = 0; turn < 20; turn += 1) await ask(drive(), 101, turn % 2 === 0 ? 'ext4' : 'xfs');
  await register.tick();
  expect(register.all()).toHaveLength(9);
  await time.advance(DAY);
  await register.tick();
  expect(states().filter((state) => state === 'open')).toEqual([]);
  await time.advance(7 * DAY + 1);
  await register.tick();
  expect(register.all()).toEqual([]);
  expect(await store.all('SELECT id FROM pending_ops')).toEqual([]);
});

test('what was prepared for it stays to be undone, however long it is over', async () => {
  const { id } = await ask();
  const prepared = [{ kind: 'storage-disabled', storage: 'usb' }] as const;
  await register.setPrepared(id, prepared);
  for (let month = 0; month < 2; month += 1) {
    await time.advance(30 * DAY);
    await register.tick();
  }
  await load();
  expect(register.find(id)).toMatchObject({ state: 'expired', prepared });
  await register.setPrepared(id, []);
  await register.tick();
  expect(register.find(id)).toBeNull();
});

test('one that is granted while its guest asks for something else stays granted', async () => {
  const op = await ask();
  beforeOpening = async () => {
    const granting = register.granting(register.find(op.id) as never, 'fmt-1', 'bela (key k)');
    await store.write(granting.statement);
    granting.applied();
  };
  const other = await ask(drive(), 101, 'xfs');
  expect([register.find(op.id)?.state, other.state]).toEqual(['granted', 'open']);
  await load();
  expect(register.find(op.id)).toMatchObject({ state: 'granted', jobId: 'fmt-1', grantedBy: 'bela (key k)' });
});

test('whoever listens is told of what came, was prepared and is over', async () => {
  const told: string[] = [];
  register.onChange(({ id, state, prepared }) => void told.push(`${id} ${state} ${prepared.length}`));
  const { id } = await ask();
  await register.setPrepared(id, [{ kind: 'job-disabled', job: 'backup-1' }]);
  await time.advance(DAY);
  await register.tick();
  expect(told).toEqual([`${id} open 0`, `${id} open 1`, `${id} expired 1`]);
});
