import { expect, test } from 'vitest';
import { createEnrolment } from '#agent/guests/enrolment';
import { FelhomError } from '#shared/errors';

const BOOTSTRAP = { vmid: 101, token: 'fht_101_x', endpoints: [] };

interface World {
  /** By guest, where its drives are mounted. */
  drives?: [vmid: number, mountPoint: string][];
  failing?: 'enroll' | 'remove' | 'prepare' | 'give' | 'takeBack';
  with?: unknown;
  prepares?: boolean;
}

const setup = ({ drives = [], failing, with: failure = new Error('ENOSPC at /secret'), prepares = true }: World = {}) => {
  const calls: string[] = [];
  const logged: string[] = [];
  const act = (what: NonNullable<World['failing']> | 'share', vmid: number): void => {
    calls.push(`${what} ${vmid}`);
    if (what === failing) throw failure;
  };
  const enrolment = createEnrolment({
    guests: {
      enroll: async (vmid) => {
        act('enroll', vmid);
        return { bootstrap: { ...BOOTSTRAP, vmid } };
      },
      remove: async (vmid) => {
        act('remove', vmid);
        return { vmid };
      },
      enrolled: () => [{ vmid: 101 }, { vmid: 102 }],
    },
    directories: {
      prepare: async (vmid) => act('prepare', vmid),
      give: async (vmid) => {
        act('give', vmid);
        return { note: 'Restart it once.' };
      },
      share: async (vmid) => {
        act('share', vmid);
        return { note: 'Stop and start it.' };
      },
      takeBack: async (vmid) => act('takeBack', vmid),
    },
    assignments: () => drives.map(([vmid, mountPoint]) => ({ vmid, mountPoint })),
    prepares,
    journal: (_level, sentence, fields) => void logged.push(`${sentence} ${fields?.cause}`),
  });
  return { enrolment, calls, logged };
};

test('enrolled: then its directory is made and given to it', async () => {
  const { enrolment, calls } = setup();
  expect(await enrolment.enroll(101)).toEqual({ bootstrap: BOOTSTRAP, note: 'Restart it once.' });
  expect(calls).toEqual(['enroll 101', 'prepare 101', 'give 101']);
});

test('where this is no host of Proxmox’s own, nothing is mounted at enrolment', async () => {
  const { enrolment, calls } = setup({ prepares: false });
  await enrolment.enroll(101);
  await enrolment.begin();
  expect(calls).toEqual(['enroll 101', 'give 101']);
});

test.each([
  [
    'prepare',
    new FelhomError('mount-failed', 'The directory cannot be made.'),
    'Drives do not show in guest 101 yet. The directory cannot be made.',
  ],
  ['give', new Error('ENOSPC at /secret'), 'Drives do not show in guest 101 yet. The reason is in the journal.'],
] as const)('an enrolment stands though %s fails, and says so', async (failing, failure, note) => {
  const { enrolment, logged } = setup({ failing, with: failure });
  expect(await enrolment.enroll(101)).toEqual({ bootstrap: BOOTSTRAP, note });
  expect(logged).toHaveLength(1);
});

test('a guest that cannot be enrolled is given nothing', async () => {
  const { enrolment, calls } = setup({ failing: 'enroll' });
  await expect(enrolment.enroll(101)).rejects.toThrow('ENOSPC');
  expect(calls).toEqual(['enroll 101']);
});

test('a guest with drives is not removed, and they are named', async () => {
  const { enrolment, calls } = setup({
    drives: [
      [101, '/mnt/felhom/photos'],
      [102, '/mnt/felhom/music'],
      [101, '/mnt/felhom/films'],
    ],
  });
  await expect(enrolment.remove(101)).rejects.toMatchObject({
    code: 'drive-in-use',
    message: expect.stringContaining('/mnt/felhom/photos, /mnt/felhom/films. Eject each with "felhom-agent disks eject <place>"'),
  });
  expect(calls).toEqual([]);
});

test('removed: then its directory is taken away', async () => {
  const { enrolment, calls } = setup({ drives: [[102, '/mnt/felhom/music']] });
  expect(await enrolment.remove(101)).toEqual({ vmid: 101, note: '' });
  expect(calls).toEqual(['remove 101', 'takeBack 101']);
});

test('a removal stands though its directory stays, and says so', async () => {
  const { enrolment } = setup({ failing: 'takeBack' });
  expect(await enrolment.remove(101)).toEqual({
    vmid: 101,
    note: 'The directory of its drives could not be taken from guest 101. The reason is in the journal.',
  });
});

test('shared on request, with enrolled guests only', async () => {
  const { enrolment, calls } = setup();
  expect(await enrolment.share(102)).toEqual({ vmid: 102, note: 'Stop and start it.' });
  await expect(enrolment.share(103)).rejects.toMatchObject({ code: 'guest-not-enrolled' });
  expect(calls).toEqual(['share 102']);
});

test('at the start every enrolled guest’s directory is made, whatever becomes of one', async () => {
  const { enrolment, calls, logged } = setup({ failing: 'prepare' });
  await enrolment.begin();
  expect(calls).toEqual(['prepare 101', 'prepare 102']);
  expect(logged).toHaveLength(2);
});
