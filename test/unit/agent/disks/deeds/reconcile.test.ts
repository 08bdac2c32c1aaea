/** What keeps an assignment true, on a host in memory: what real devices cannot show quickly. These are in test/system/drives. */
import { expect, test } from 'vitest';
import { createDeeds } from '#agent/disks/deeds/deeds';
import { FelhomError } from '#shared/errors';
import { deedsHost, INSTANCE, MOUNT_ROOT, userDrive } from '../deeds-host.ts';
import { because, madeEvidence } from '../made.ts';

const PHOTOS = `${MOUNT_ROOT}/photos`;
const GUEST = `${MOUNT_ROOT}/.guests/101/photos`;

const assigned = async (change: Parameters<typeof deedsHost>[0] = {}) => {
  const host = deedsHost(change);
  await host.assign();
  await host.deeds.tick();
  host.done.length = 0;
  return host;
};

const points = ({ state }: Awaited<ReturnType<typeof assigned>>): string[] => state.mounts.map(({ point }) => point).sort();
const raised = ({ problems }: Awaited<ReturnType<typeof assigned>>): string[] => [...problems.keys()].sort();

test('while all is as it should be, nothing is done', async () => {
  const host = await assigned();
  for (let round = 0; round < 3; round += 1) {
    await host.advance(10_000);
    await host.deeds.tick();
  }
  expect(host.done).toEqual([]);
  expect(raised(host)).toEqual([]);
});

test('without assignments nobody is asked', async () => {
  const host = deedsHost();
  const { sysfs } = host.ports;
  sysfs.kernelDevices = async () => expect.fail('it was asked');
  await host.deeds.tick();
  expect(host.done).toEqual([]);
});

test('units are written anew once, whichever version of the agent made them; that they could not be stops nothing else', async () => {
  const host = deedsHost();
  await host.assign();
  host.state.failures.set('keep', new Error('EROFS'));
  host.state.mounts = host.state.mounts.filter(({ point }) => point === PHOTOS);
  host.done.length = 0;
  await host.deeds.tick();
  expect(host.done.filter((one) => one.startsWith('keep'))).toHaveLength(1);
  expect(points(host)).toEqual([GUEST, PHOTOS]);
  await host.deeds.tick();
  await host.deeds.tick();
  expect(host.done.filter((one) => one.startsWith('keep'))).toHaveLength(2);
});

test('where evidence is missing, what is mounted stays, and nothing is mounted', async () => {
  const host = await assigned();
  host.state.evidence = madeEvidence({ kernel: { known: false, why: 'no' } });
  host.state.drives = host.state.drives.map((drive) => ({ ...drive, role: 'system', reasons: [because('system')] }));
  // As after a restart of the agent: nothing has been verified.
  host.state.mounts = host.state.mounts.map((mount) => ({ ...mount, id: `${mount.id}0` }));
  await host.deeds.tick();
  expect(points(host)).toEqual([GUEST, PHOTOS]);
  host.state.mounts = [];
  await host.deeds.tick();
  expect(points(host)).toEqual([]);
  expect(raised(host)).toEqual([]);
});

test('a guest whose configuration cannot be read keeps what it has, and gets nothing anew', async () => {
  const host = await assigned();
  host.state.instances = new Map();
  await host.deeds.tick();
  expect(points(host)).toEqual([GUEST, PHOTOS]);
  host.state.mounts = [];
  await host.deeds.tick();
  expect(points(host)).toEqual([]);
});

test('a drive that became the host’s is not mounted again, and it is said why', async () => {
  const host = await assigned();
  host.state.mounts = [];
  host.state.drives = [userDrive({ role: 'system', reasons: [because('system', 'It is given to guest 105 (scsi1).')] })];
  await host.deeds.tick();
  expect(points(host)).toEqual([]);
  expect(raised(host)).toEqual(['drive-not-mounted 101']);
});

test('a mounted drive that is set up for something else too stays, and it is said', async () => {
  const host = await assigned();
  host.state.drives = host.state.drives.map((drive) => ({ ...drive, role: 'system', reasons: [because('system', 'No.', true)] }));
  await host.deeds.tick();
  expect(points(host)).toEqual([GUEST, PHOTOS]);
  expect(raised(host)).toEqual(['drive-contested 101']);
  host.state.drives = host.state.drives.map((drive) => ({ ...drive, reasons: [because('system')] }));
  await host.deeds.tick();
  expect(raised(host)).toEqual([]);
});

test('a drive that sleeps is woken up to be mounted', async () => {
  const host = await assigned();
  host.state.mounts = [];
  const [awake = userDrive()] = host.state.drives;
  host.state.drives = [{ ...awake, state: 'asleep', role: 'system' }];
  const { fresh } = host.ports.current;
  host.ports.current.fresh = async (probe) => {
    expect(probe).toEqual(['sdb']);
    host.state.drives = [awake];
    return fresh(probe);
  };
  await host.deeds.tick();
  expect(points(host)).toEqual([GUEST, PHOTOS]);
});

test('a mount that cannot be cut off stays a failure of its own drive only', async () => {
  const host = await assigned({ drives: [userDrive(), userDrive({ name: 'sdc' }, 'aaaa-bbbb')] });
  host.state.devices = host.state.devices.filter(({ name }) => name !== 'sdb');
  host.state.failures.set('unmount', new Error('busy'));
  host.state.failures.set('cutOff', new Error('hangs'));
  await host.deeds.tick();
  expect(points(host)).toEqual([GUEST, PHOTOS]);
  await host.deeds.tick();
  expect(points(host)).toEqual([]);
});

test('problems are a guest’s own, and go when they are over', async () => {
  const host = await assigned();
  host.state.drives = [];
  host.state.devices = [];
  await host.deeds.tick();
  expect(raised(host)).toEqual([]);
  await host.advance(31_000);
  await host.deeds.tick();
  expect([...host.problems.values()]).toEqual([
    {
      code: 'drive-missing',
      vmid: 101,
      sentence: 'A drive of this guest is not plugged in: photos.',
      evidence: `connected as ${PHOTOS}`,
      nextStep: 'Plug it in again; it comes back by itself. If it is gone for good, eject it.',
    },
  ]);
  await host.eject();
  await host.deeds.tick();
  expect(raised(host)).toEqual([]);
});

test('an assign that was cut short is undone; an eject that was is too, or ended where the drive is out', async () => {
  const half = await assigned();
  half.state.assignments = half.state.assignments.map((row) => ({ ...row, state: 'assigning' }));
  await half.deeds.tick();
  expect([half.state.mounts, half.state.assignments, half.state.records[0]?.owner]).toEqual([[], [], null]);

  const back = await assigned();
  back.state.assignments = back.state.assignments.map((row) => ({ ...row, state: 'ejecting' }));
  back.state.mounts = [];
  await back.deeds.tick();
  expect(points(back)).toEqual([GUEST, PHOTOS]);
  expect(back.state.assignments).toMatchObject([{ state: 'assigned' }]);

  const out = await assigned();
  out.state.assignments = out.state.assignments.map((row) => ({ ...row, state: 'ejecting' }));
  out.state.drives = [];
  out.state.devices = [];
  out.state.evidence = madeEvidence({ kernel: { known: false, why: 'no' } });
  await out.deeds.tick();
  expect(out.state.assignments).toHaveLength(1);
  out.state.evidence = madeEvidence();
  await out.deeds.tick();
  expect(out.state.assignments).toEqual([]);
  expect(out.state.records[0]?.owner).toMatchObject({ vmid: 101 });
});

test('a deed waits for the look at the others, and the look for the deed', async () => {
  const host = deedsHost();
  const order: string[] = [];
  const { prepare } = host.ports.guests;
  host.ports.guests.prepare = async (vmid) => {
    order.push('assign');
    await new Promise((resolve) => setImmediate(resolve));
    return prepare(vmid);
  };
  const deed = host.assign().finally(() => order.push('assigned'));
  await host.deeds.tick().then(() => order.push('looked'));
  await deed;
  expect(order.indexOf('looked')).toBeGreaterThan(order.lastIndexOf('assign'));
  expect(host.state.assignments).toMatchObject([{ state: 'assigned' }]);
});

test('why a drive is not mounted is told in words that were meant for customers, or not at all', async () => {
  const host = await assigned();
  const evidence = () => host.problems.get('drive-not-mounted 101')?.evidence;
  host.state.mounts = [];
  host.state.failures.set('mount', new Error('/dev/sdb1: secret'));
  await host.deeds.tick();
  expect(evidence()).toBe('mounting it failed');
  await host.advance(20_000);
  host.state.failures.set('prepare', new FelhomError('mount-failed', 'Guest 105 would see it too.'));
  await host.deeds.tick();
  expect(evidence()).toBe('Guest 105 would see it too.');
});

test('of a guest that only has the number of another nothing is mounted, at a boot neither; and again when it is the other', async () => {
  const host = await assigned();
  host.state.instances = new Map([[101, 'net:another']]);
  await host.deeds.tick();
  expect(points(host)).toEqual([]);
  expect(host.done.map((one) => one.split(' ')[0])).toEqual(['unmount', 'drop']);
  // The agent is started anew.
  const deeds = createDeeds(host.ports);
  host.done.length = 0;
  await deeds.tick();
  await deeds.tick();
  expect(host.done.map((one) => one.split(' ')[0])).toEqual(['drop']);
  host.state.instances = new Map([[101, INSTANCE]]);
  await deeds.tick();
  expect(host.done.some((one) => one.startsWith('keep'))).toBe(true);
  expect(points(host)).toEqual([GUEST, PHOTOS]);
});

test('what was plugged in and mounted by its unit since the last look is not cut off', async () => {
  const host = await assigned();
  const { drives, mounts } = host.state;
  host.state.mounts = mounts.map((mount) => ({ ...mount, id: `${mount.id}0` }));
  const { inventory } = host.ports.current;
  host.ports.current.inventory = async () => {
    host.state.drives = [];
    return inventory().finally(() => {
      host.state.drives = drives;
    });
  };
  await host.deeds.tick();
  expect(points(host)).toEqual([GUEST, PHOTOS]);
  expect(host.done).toEqual([]);
});

test.each([
  ['has become the host’s', { drives: [userDrive({ role: 'system', reasons: [because('system')] })] }],
  ['cannot be told from another', { drives: [userDrive({ twins: ['sdz'] })] }],
  ['belongs to a former guest of that number', { instances: new Map([[101, 'net:another']]) }],
])('a drive whose eject was cut short and that %s is not mounted for it', async (_what, change) => {
  const host = await assigned();
  host.state.assignments = host.state.assignments.map((row) => ({ ...row, state: 'ejecting' }));
  host.state.mounts = [];
  Object.assign(host.state, change);
  await host.deeds.tick();
  expect(host.state.mounts).toEqual([]);
  expect(raised(host)).toEqual(['drive-not-mounted 101']);
  // Root can take it out.
  expect(await host.deeds.eject(101, { where: PHOTOS }, 'root')).toMatchObject({ ejected: true });
});
