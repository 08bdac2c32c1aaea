/** What a guest gets for asking: over a look at the drives that a test makes up, and deeds that only say that they were called. */
import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';
import { createMounted } from '#agent/disks/deeds/mounted';
import type { Assignment } from '#agent/disks/inventory/assignment';
import { createDisks } from '#agent/disks/service';
import { FelhomError } from '#shared/errors';
import { assignDisk, Disks, ejectDisk, formatDisk } from '#shared/wire/disks';
import { fakeClock } from '../fake-clock.ts';
import { NEVER } from '../fake-host.ts';
import { madeDrive, madeEvidence, madeFilesystem, madeInventory, madeRecord } from './made.ts';

const UUID = '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b';
const POINT = '/mnt/felhom/photos';

const ASSIGNMENT: Assignment = {
  ...{ mountPoint: POINT, vmid: 101, drive: 1, uuid: UUID, fstype: 'ext4', options: '', link: 'x' },
  ...{ match: { serial: '', wwn: '', sizeBytes: null }, state: 'assigned', createdAt: 1 },
};

const owner = { vmid: 101, instance: 'a', since: 1 };
const drive = madeDrive({ filesystems: [madeFilesystem()], record: madeRecord({ owner }), state: 'mounted' });
const mount = { id: '1', parent: '0', device: '8:17', root: '/', fstype: 'ext4', source: '/dev/sdb1', options: [] };
const mounts = (...points: string[]) =>
  ({ known: true, value: points.map((point) => ({ pid: 1, host: true, mount: { ...mount, point } })) }) as const;

const setup = ({
  filling = async () => ({ totalBytes: 400, usedBytes: 100 }),
  shown = async () => ({ guestPath: POINT }),
  at = [POINT],
  known = true,
} = {}) => {
  const time = fakeClock();
  const did: string[] = [];
  const inventory = madeInventory({ drives: [drive] });
  const evidence = madeEvidence({ mounts: mounts(...at) });
  const disks = createDisks({
    current: {
      inventory: async () => {
        did.push('look');
        if (!known) throw new FelhomError('not-known', 'The drives could not be looked at yet.');
        return { inventory, ageMs: 4_200 };
      },
      fresh: async () => inventory,
      changed: () => void did.push('changed'),
      last: () => ({ inventory, evidence }),
    },
    records: { assignments: () => [ASSIGNMENT] },
    settings: () => ({ filesystems: ['ext4'], mountRoot: '/mnt/felhom' }),
    claims: () => ({ guests: null, enrolled: [101], instances: new Map([[101, 'a']]) }),
    mounted: createMounted({ clock: time.clock, shown, filling }),
    classOf: () => '',
    healthOf: () => ({ health: 'UNKNOWN', temperature_c: null, percentage_used: null }),
    writesOff: () => '',
    assign: async (vmid, { uuid, where }) => {
      did.push(`assign ${vmid}`);
      return { vmid, uuid, where, guest_path: where, note: '' };
    },
    eject: async (vmid, { where }) => {
      did.push(`eject ${vmid} ${where}`);
      throw new FelhomError('drive-in-use', 'It is still used.');
    },
    format: async () => {
      throw new FelhomError('drive-in-use', 'It is used. Nothing was erased.');
    },
  });
  return { disks, did, ...time };
};

describe('the list', () => {
  test('says how old it is, where a drive shows and how full it is', async () => {
    const answer = await setup().disks.list(101);
    expect(Value.Errors(Disks, answer)).toEqual([]);
    expect(answer).toMatchObject({
      ...{ vmid: 101, reason: '', age_seconds: 4, mount_root: '/mnt/felhom' },
      disks: [{ name: 'sdb', state: 'mounted', mount_path: POINT, guest_path: POINT, used_bytes: 100, used_fraction: 0.25 }],
    });
  });

  test('another guest learns nothing of it', async () => {
    expect((await setup().disks.list(102)).disks).toMatchObject([{ owner: 'not-yours', mount_path: '', used_bytes: null }]);
  });

  test('what is assigned and not mounted is not said to be mounted', async () => {
    const answer = await setup({ at: ['/'] }).disks.list(101);
    expect(answer.disks).toMatchObject([{ mount_path: '', guest_path: '', used_bytes: null }]);
  });

  test('where nothing is known there is no list', async () => {
    await expect(setup({ known: false }).disks.list(101)).rejects.toMatchObject({ code: 'not-known' });
  });

  test.each([
    ['a mount that hangs', { filling: () => NEVER }, POINT],
    ['a guest that cannot be looked into', { shown: () => NEVER }, ''],
    ['one that is not there', { shown: () => Promise.reject(new Error('no such guest')) }, ''],
  ])('%s delays the answer by three seconds at most', async (_what, hung, guestPath) => {
    const { disks, advance } = setup(hung);
    let answer: Disks | null = null;
    const asked = disks.list(101).then((one) => {
      answer = one;
    });
    await advance(3_000);
    await asked;
    expect(answer).toMatchObject({ disks: [{ mount_path: POINT, guest_path: guestPath }] });
  });

  test('a glance asks nobody', () => {
    const { disks, did } = setup({ filling: () => NEVER, shown: () => NEVER });
    expect(disks.glance(101, madeInventory({ drives: [drive] }))).toMatchObject([{ name: 'sdb', mount_path: POINT }]);
    expect(did).toEqual([]);
  });
});

describe('a deed', () => {
  test('is done for the guest that asks, and seen by the next look, which comes at once', async () => {
    const { disks, did } = setup();
    const body = { uuid: UUID, where: POINT, fstype: 'ext4' };
    expect(await disks.assign(101, body)).toMatchObject({ vmid: 101, where: POINT });
    expect(did).toEqual(['assign 101', 'changed', 'look']);
  });

  test('also when it failed: it may have been done by half', async () => {
    const { disks, did } = setup();
    await expect(disks.eject(101, { where: POINT })).rejects.toMatchObject({ code: 'drive-in-use' });
    expect(did).toEqual([`eject 101 ${POINT}`, 'changed', 'look']);
  });
});

test('a refusal of format is told in the form that clients read', () => {
  const error = 'It is used. Nothing was erased.';
  const facts = { status: 409, code: 'drive-in-use', error, vmid: 101, body: { device: '/dev/sdb' } } as const;
  const data = { vmid: 101, device: '/dev/sdb', formatted: false, data_bearing: true, reason: error };
  expect(formatDisk.refusal?.(facts)).toEqual({ status: 409, data });
});

test.each([
  ['assign', assignDisk, { status: 200, data: null }],
  ['eject', ejectDisk, { status: 200, data: { vmid: 101, ejected: false, dependent_guests: [102] } }],
] as const)('a refusal of %s is a 200 with its sentence', (_name, endpoint, answer) => {
  const facts = { code: 'drive-in-use', error: 'It is used.', vmid: 101, body: {}, details: { dependentGuests: [102] } } as const;
  expect(endpoint.refusal?.({ ...facts, status: 409 })).toEqual(answer);
  expect(endpoint.refusal?.({ ...facts, status: 401 }).status).toBe(401);
});
