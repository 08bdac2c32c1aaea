/** The stand-in for `/etc/pve`: what the agent reads there and writes there itself, beside the API. */

import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { send } from '../../pve/fidelity/send.ts';
import { type Pve, startPve } from '../../pve/server.ts';
import type { Guest } from '../../pve/world.ts';

const ENTRY = 'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,rslave,create=dir 0 0';
const PAIR = ['lxc.mount.entry', '/mnt/felhom/.guests/101 mnt/felhom none rbind,rslave,create=dir 0 0'];

const guest = (vmid: number, type: Guest['type']): Guest => ({
  ...{ vmid, type, config: { memory: 512, description: 'two\nlines' }, snapshots: {}, directories: {} },
  ...{ status: 'stopped', paused: false, guestAgentRuns: false },
});

let dir: string;
let pve: Pve;
let token: string;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-pve-'));
  pve = await startPve({ dir, world: (w) => w.guests.set(101, guest(101, 'lxc')).set(102, guest(102, 'qemu')) });
  token = pve.addToken('root@pam', 'all', { privsep: false });
});
afterEach(async () => {
  await pve.close();
  rmSync(dir, { recursive: true, force: true });
});

const path = (name: string) => join(pve.files.configDir, name);
const read = (name: string) => readFileSync(path(name), 'utf8');
const conf = () => read('local/lxc/101.conf');
/** As the agent does: a new file in the place of the old one. */
const edit = (change: (text: string) => string) => {
  writeFileSync(path('local/lxc/.mine'), change(conf()));
  renameSync(path('local/lxc/.mine'), path('local/lxc/101.conf'));
};
const ask = async (method: string, below: string, body = '') => {
  const headers = { authorization: `PVEAPIToken=${token}`, connection: 'close', 'content-length': String(body.length) };
  const got = await send(pve.port, { method, path: `/api2/json/nodes/pve1/lxc/101/${below}`, headers, body: Buffer.from(body) });
  expect(got.status, got.body).toBe(200);
  return JSON.parse(got.body).data;
};

test("a container's raw line that somebody wrote into its file stays there, and the API shows it as a pair", async () => {
  expect(await ask('GET', 'config')).not.toHaveProperty('lxc');
  const before = (await ask('GET', 'config')).digest;
  edit((text) => `${text}${ENTRY}\n`);
  const shown = await ask('GET', 'config');
  expect(shown.lxc).toEqual([PAIR]);
  expect(shown.digest).not.toBe(before);
  expect(shown.memory).toBe(512);
  await ask('PUT', 'config', 'memory=1024');
  pve.setGuestLock(101, 'backup');
  expect(conf()).toBe(`#two\n#lines\nlock: backup\nmemory: 1024\n${ENTRY}\n`);
});

test('a raw line that was taken out of the file is gone', async () => {
  edit((text) => `${text}${ENTRY}\nlxc.cap.drop: sys_time\n`);
  pve.writeConfigFiles();
  edit((text) => text.replace(`${ENTRY}\n`, ''));
  pve.writeConfigFiles();
  expect(conf()).toMatch(/memory: 512\nlxc\.cap\.drop: sys_time\n$/);
});

test('what a test puts into the world is written', () => {
  (pve.world.guests.get(101) as Guest).lxc = [['lxc.mount.entry', '/a b none bind 0 0']];
  pve.writeConfigFiles();
  expect(conf()).toMatch(/memory: 512\nlxc\.mount\.entry: \/a b none bind 0 0\n$/);
  pve.world.guests.set(101, guest(101, 'lxc'));
  pve.writeConfigFiles();
  expect(conf()).toBe('#two\n#lines\nmemory: 512\n');
});

test('a snapshot keeps the lines of its time, and brings them back', async () => {
  const ended = async (upid: string) => pve.taskEnded(upid);
  pve.world.guests.set(101, { ...guest(101, 'lxc'), config: { memory: 512 } });
  pve.writeConfigFiles();
  edit((text) => `${text}${ENTRY}\n`);
  await ended(await ask('POST', 'snapshot', 'snapname=with'));
  edit((text) => text.replace(`${ENTRY}\n`, ''));
  expect(await ask('GET', 'config')).not.toHaveProperty('lxc');
  expect((await ask('GET', 'snapshot/with/config')).lxc).toEqual([PAIR]);
  expect(conf().split('[with]')[1]).toContain(ENTRY);
  await ended(await ask('POST', 'snapshot/with/rollback'));
  expect((await ask('GET', 'config')).lxc).toEqual([PAIR]);
});

test('a guest that is gone has no file, and no half-written one is left', () => {
  expect(readdirSync(path('local/lxc'))).toEqual(['101.conf']);
  expect(readdirSync(path('local/qemu-server'))).toEqual(['102.conf']);
  pve.world.guests.delete(101);
  pve.writeConfigFiles();
  expect(readdirSync(path('local/lxc'))).toEqual([]);
});

test('mappings are written as Proxmox writes them, and only where there are any', () => {
  const maps = ['id=8086:2822,iommugroup=4,node=pve1,path=0000:00:17.0,subsystem-id=8086:7270'];
  pve.world.mappings = {
    pci: new Map([
      ['hba', maps],
      ['nvme', ['id=144d:a808,node=pve1,path=0000:01:00.0', 'id=144d:a808,node=pve2,path=0000:02:00.0']],
    ]),
    usb: new Map([['stick', ['id=0781:5583,node=pve1,path=2-1.4']]]),
    directory: new Map([['felhom-101', ['node=pve1,path=/mnt/felhom/.guests/101']]]),
  };
  pve.writeConfigFiles();
  expect(read('mapping/pci.cfg')).toBe(
    `hba\n\tmap ${maps[0]}\n\nnvme\n\tmap id=144d:a808,node=pve1,path=0000:01:00.0\n\tmap id=144d:a808,node=pve2,path=0000:02:00.0\n`,
  );
  expect(read('mapping/usb.cfg')).toBe('stick\n\tmap id=0781:5583,node=pve1,path=2-1.4\n');
  expect(read('mapping/directory.cfg')).toBe('felhom-101\n\tmap node=pve1,path=/mnt/felhom/.guests/101\n');
  pve.world.mappings = {};
  pve.writeConfigFiles();
  expect(readdirSync(path('mapping'))).toEqual([]);
});
