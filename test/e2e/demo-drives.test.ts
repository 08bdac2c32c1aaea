/** The drives of `npm run demo`: real ones for root, samples for everybody else; a guest assigns and ejects its own over the wire. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Address, call, get } from '../stranger/client.ts';
import { labMissing, outcome } from '../system/drives/lab.ts';
import { leftOf, ordinaryUserMissing, type RunningDemo, removeDemo, startDemo } from './demo.ts';
import { askProxmox, onTerminal, walk, walkMissing } from './readme-walk.ts';

interface Written {
  address: Address & { vmid: number };
  devices: { system: string; backup: string; user_data: string[]; blank: string };
  mountRoot: string;
  agentConfig: string;
  opsign: { passphrase_file: string };
  pve: { endpoint: string; node: string; token: string };
}

const writtenBy = (demo: RunningDemo): Written => {
  const { agent, guests, devices, mount_root, opsign, pve } = JSON.parse(readFileSync(join(demo.dir, 'demo.json'), 'utf8'));
  const [host, port] = agent.endpoint.split(':');
  const address = { host, port: Number(port), fingerprint: agent.fingerprint, token: guests[0].token, vmid: guests[0].vmid };
  return { address, devices, mountRoot: mount_root, agentConfig: agent.config, opsign, pve };
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const SETTLED_WITHIN_MS = 60_000;

/** GET /disks, once it is what is waited for, or after all. A busy machine takes its time to look into drives, and says so until then. */
const disksOnce = async (address: Address, holds: (disks: Record<string, unknown>[]) => boolean) => {
  for (const until = performance.now() + SETTLED_WITHIN_MS; ; ) {
    const answer = await get(address, '/disks');
    if ((answer.reason === '' && holds(answer.disks)) || performance.now() > until) return answer;
    await pause(200);
  }
};

/** The drive's entry, once it holds. */
const driveOnce = async (address: Address, name: string, holds: (disk: Record<string, unknown>) => boolean) => {
  const isIt = (disk: Record<string, unknown>) => disk.name === name;
  const { disks } = await disksOnce(address, (all) => all.some((disk) => isIt(disk) && holds(disk)));
  return disks.find(isIt);
};

/** Once a guest could take it. */
const freeDrive = (address: Address, name: string) => driveOnce(address, name, (disk) => disk.not_assignable === '');

const mountsAt = (point: string): number =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4] === point).length;

describe.skipIf(labMissing !== '')(
  `as root, on loop devices (skipped where there are none: ${labMissing})`,
  { timeout: 120_000 },
  () => {
    let demo: RunningDemo;
    let written: Written;

    beforeAll(async () => {
      demo = startDemo();
      await demo.printed('felhom demo is ready');
      written = writtenBy(demo);
    }, 120_000);

    afterAll(async () => {
      demo.child.kill('SIGKILL');
      await demo.ended;
      await removeDemo(demo);
    });

    test('the drives of demo.json are devices of this machine, on files of the demo', () => {
      const { system, backup, user_data, blank } = written.devices;
      const names = [system, backup, ...user_data, blank];
      expect(new Set(names).size).toBe(5);
      for (const name of names)
        expect(readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8')).toMatch(
          new RegExp(`^${demo.dir}/drives/\\w+\\.img\n$`),
        );
      expect(mountsAt(join(demo.dir, 'storage/local-btrfs'))).toBe(1);
      expect(mountsAt(join(demo.dir, 'storage/usb-backup'))).toBe(1);
      expect(written.mountRoot).toBe(join(demo.dir, 'mnt'));
    });

    test('a guest sees the role of each, and why; no other drive of this machine is offered', async () => {
      const { system, backup, user_data, blank } = written.devices;
      const offers = (all: Record<string, unknown>[]) => all.filter((disk) => disk.not_assignable === '').length === 2;
      const { disks, reason } = await disksOnce(written.address, offers);
      expect(reason).toBe('');
      const role = (name: string) => disks.find((disk: { name: string }) => disk.name === name)?.role;
      expect([system, backup, ...user_data, blank].map(role)).toEqual([
        'system',
        'backup',
        'user-data',
        'user-data',
        'user-data',
      ]);
      for (const disk of disks) expect(disk.role_reason).toMatch(/\.$/);
      const own = new RegExp(`^(${[...user_data, blank].join('|')})(p\\d+)?$`);
      const offered = disks.filter((disk: { not_assignable: string }) => disk.not_assignable === '');
      for (const { name } of offered) expect(name).toMatch(own);
      expect(offered).toHaveLength(2);
    });

    test('the blank drive is proved blank by reading it', async () => {
      const blank = await driveOnce(written.address, written.devices.blank, ({ data_bearing }) => data_bearing === false);
      expect(blank).toMatchObject({ data_bearing: false });
      const [photos = ''] = written.devices.user_data;
      expect(await freeDrive(written.address, photos)).toMatchObject({ data_bearing: true });
    });

    test.each([
      ['the whole drive', 0, 'photos', '2026/beach.txt'],
      ['a partition', 1, 'films', 'wedding.txt'],
    ])('%s is assigned, its files are there, and it is ejected again', async (_what, index, name, file) => {
      const { address, devices, mountRoot } = written;
      const where = join(mountRoot, name);
      const drive = await freeDrive(address, devices.user_data[index] ?? '');
      expect(drive.durable_id).toMatch(/^uuid:/);
      const uuid = drive.durable_id.slice('uuid:'.length);
      const assigned = await call(address, 'POST', '/disks/assign', { uuid, where, fstype: drive.fstype, options: '' });
      expect(assigned.json).toMatchObject({ ok: true, data: { vmid: address.vmid, uuid, where } });
      expect(readFileSync(join(where, file), 'utf8')).toMatch(/in words\.\n$/);
      const mounted = await driveOnce(address, drive.name, ({ state }) => state === 'mounted');
      expect(mounted).toMatchObject({ state: 'mounted', mount_path: where, owner: 'yours' });

      const ejected = await call(address, 'POST', '/disks/eject', { where });
      expect(ejected.json).toEqual({
        ok: true,
        data: { vmid: address.vmid, ejected: true, dependent_guests: [] },
        error: '',
        code: '',
      });
      expect(mountsAt(where)).toBe(0);
      expect(existsSync(join(where, file))).toBe(false);
      expect(await freeDrive(address, drive.name)).toMatchObject({ state: 'available', mount_path: '', owner: 'yours' });
    });

    test.each(['system', 'backup'] as const)('the %s drive is refused, and stays where it is', async (role) => {
      const { address, devices, mountRoot } = written;
      const database = readdirSync(join(demo.dir, 'drives/udev/data'));
      const numbers = readFileSync(`/sys/block/${devices[role]}/dev`, 'utf8').trim();
      expect(database).toContain(`b${numbers}`);
      const entry = readFileSync(join(demo.dir, 'drives/udev/data', `b${numbers}`), 'utf8');
      const uuid = /^E:ID_FS_UUID=(.*)$/m.exec(entry)?.[1];
      const fstype = /^E:ID_FS_TYPE=(.*)$/m.exec(entry)?.[1];
      const where = join(mountRoot, 'stolen');
      const { status, json } = await call(address, 'POST', '/disks/assign', { uuid, where, fstype, options: '' });
      expect(status).toBe(200);
      expect(json).toMatchObject({ ok: false, error: expect.stringMatching(/\.$/) });
      expect(existsSync(where)).toBe(false);
    });

    const assignFirst = async (): Promise<void> => {
      const { address, devices, mountRoot } = writtenBy(demo);
      const drive = await freeDrive(address, devices.user_data[0] ?? '');
      const body = { uuid: drive.durable_id.slice(5), where: join(mountRoot, 'kept'), fstype: drive.fstype, options: '' };
      expect((await call(address, 'POST', '/disks/assign', body)).json).toMatchObject({ ok: true });
      expect(mountsAt(body.where)).toBe(1);
    };

    test('pulled out while it is assigned and plugged in again, it is back by itself', async () => {
      await assignFirst();
      const { devices, mountRoot } = written;
      const where = join(mountRoot, 'kept');
      const places = [join(mountRoot, '.guests/101/kept'), where];
      // A loop device cannot be pulled out while it is mounted, as a drive can; and the agent may mount it again in between.
      const attached = `/sys/block/${devices.user_data[0]}/loop/backing_file`;
      for (let tries = 0; tries < 100 && existsSync(attached); tries += 1) {
        for (const point of places) await outcome('umount', point);
        await outcome('losetup', '-d', `/dev/${devices.user_data[0]}`);
        await pause(50);
      }
      expect(() => writeFileSync(join(where, 'x'), '')).toThrow(/EPERM|EACCES/);
      await driveOnce(written.address, devices.user_data[0] ?? '', ({ state }) => state === 'unplugged');
      await outcome('losetup', '--find', join(demo.dir, 'drives/photos.img'));
      for (let tries = 0; tries < 300 && places.some((point) => mountsAt(point) === 0); tries += 1) await pause(200);
      for (const point of places) expect(readFileSync(join(point, '2026/beach.txt'), 'utf8')).toMatch(/in words/);
    });

    test('what a killed demo leaves, with a drive assigned, the next start takes away', async () => {
      const before = writtenBy(demo).devices;
      demo.child.kill('SIGKILL');
      await demo.ended;
      // Five drives, two storages, the drive's two places and the guest's directory.
      expect(leftOf(demo.dir).length).toBeGreaterThanOrEqual(10);

      demo = startDemo([], { dir: demo.dir });
      await demo.printed('felhom demo is ready');
      const { devices } = writtenBy(demo);
      expect(leftOf(demo.dir)).toHaveLength(7);
      expect(Object.keys(devices)).toEqual(Object.keys(before));
    });

    test.skipIf(walkMissing !== '')(
      `README's walk by copy and paste: blank, confirmed, and signed after the drive is out of use (skipped: ${walkMissing})`,
      async () => {
        const { address, devices, opsign } = writtenBy(demo);
        const { blank, backup, user_data } = devices;
        await driveOnce(address, blank, ({ data_bearing }) => data_bearing === false);
        const cwd = mkdtempSync(join(tmpdir(), 'felhom-walk-'));
        symlinkSync(demo.dir, join(cwd, '.demo'));
        const screen = await onTerminal(cwd, walk(), [
          ['Its model: ', 'Portable SSD T7'],
          ['The last 4 characters of its serial number: ', '0103'],
          ['(Enter: later): ', ''],
          ['last 4 characters of its serial number:', '0102'],
          ['Passphrase of the key', readFileSync(opsign.passphrase_file, 'utf8').trimEnd()],
        ]).finally(() => rmSync(cwd, { recursive: true }));
        const order = [
          ...[`${blank} is formatted`, `${user_data[0]} is formatted`, 'Only the operator can permit'],
          ...[
            'felhom-opsign -op storage_wipe -host ',
            'It is mounted at',
            'A BACKUP DRIVE is erased',
            'no signature overrides that',
          ],
          ...[
            'The Proxmox storage "usb-backup" is disabled.',
            'usb-backup is unmounted.',
            `${backup} is in use again as it was before.`,
            `${backup} is formatted`,
          ],
          ...['This signature was used already', 'The Proxmox storage "usb-backup" is out of use'],
        ];
        expect(
          order.filter((text) => !screen.includes(text)),
          screen,
        ).toEqual([]);
        const places = order.map((text) => screen.indexOf(text));
        expect(places, screen).toEqual(places.toSorted((a, b) => a - b));
        expect(screen).toMatch(new RegExp(`^${backup} .*ext4 .*yours`, 'm'));
      },
    );

    test.skipIf(walkMissing !== '')('after it the next backup fails, and does not go to the host itself', async () => {
      const { pve } = writtenBy(demo);
      expect(await askProxmox(pve, 'GET', '/storage')).toContainEqual(
        expect.objectContaining({ storage: 'usb-backup', disable: 1 }),
      );
      const tasks = `/nodes/${pve.node}`;
      const upid = await askProxmox(pve, 'POST', `${tasks}/vzdump`, 'vmid=101&storage=usb-backup&mode=snapshot');
      const status = `${tasks}/tasks/${encodeURIComponent(String(upid))}/status`;
      await expect
        .poll(() => askProxmox(pve, 'GET', status), { timeout: 20_000 })
        .toMatchObject({ status: 'stopped', exitstatus: expect.stringContaining("storage 'usb-backup' is disabled") });
      expect(readdirSync(join(demo.dir, 'storage/usb-backup'))).toEqual([]);
    });

    test('Ctrl-C leaves no loop device and no mount, also of an assigned drive', async () => {
      await assignFirst();
      demo.child.kill('SIGINT');
      expect(await demo.ended, demo.output()).toBe(0);
      expect(leftOf(demo.dir)).toEqual([]);
    });
  },
);

const lacking = ordinaryUserMissing();
describe.skipIf(lacking !== '')(`as an ordinary user (skipped where there is none: ${lacking})`, { timeout: 90_000 }, () => {
  let demo: RunningDemo;
  beforeAll(async () => {
    demo = startDemo([], { ordinary: true });
    await demo.printed('felhom demo is ready');
  }, 60_000);
  afterAll(async () => {
    demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    await removeDemo(demo);
  }, 30_000);

  test('it says in one sentence that the drives are samples, and shows five of them', async () => {
    expect(demo.output()).toContain('Its five drives are shown from samples, and nothing on them is changed: ');
    const { address, devices } = writtenBy(demo);
    expect(devices).toEqual({ system: 'sda', backup: 'sdb', user_data: ['sdc', 'sdd'], blank: 'sde' });
    const { disks, reason } = await disksOnce(address, (all) => all.length === 5);
    expect(reason).toBe('');
    const told = disks.map(({ name, role, data_bearing }: Record<string, unknown>) => [name, role, data_bearing]);
    expect(told.sort()).toEqual([
      ['sda', 'system', true],
      ['sdb', 'backup', true],
      ['sdc', 'user-data', true],
      ['sdd', 'user-data', true],
      ['sde', 'user-data', false],
    ]);
  });

  test.each(['sde', 'sdc', 'sdb'])('a format of %s is refused with a sentence', async (device) => {
    const { address } = writtenBy(demo);
    await driveOnce(address, device, () => true);
    const body = { device, fstype: 'ext4', confirmed: true, durable_id: '' };
    const { status, json } = await call(address, 'POST', '/disks/format', body);
    expect(status).toBe(409);
    expect(json).toMatchObject({ ok: false, code: 'drive-writes-off', data: { formatted: false, data_bearing: true } });
    expect(json.error).toContain('samples');
  });

  test('assign and eject are refused with a sentence', async () => {
    const { address, mountRoot } = writtenBy(demo);
    const drive = await driveOnce(address, 'sdc', () => true);
    const where = join(mountRoot, 'photos');
    const body = { uuid: drive.durable_id.slice('uuid:'.length), where, fstype: drive.fstype, options: '' };
    const assigned = await call(address, 'POST', '/disks/assign', body);
    expect(assigned).toMatchObject({ status: 200, json: { ok: false, error: expect.stringContaining('samples') } });
    const ejected = await call(address, 'POST', '/disks/eject', { where });
    expect(ejected).toMatchObject({
      status: 200,
      json: { ok: false, data: { ejected: false }, error: expect.stringMatching(/\.$/) },
    });
    expect(existsSync(where)).toBe(false);
  });
});
