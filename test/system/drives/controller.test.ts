/** The customer's whole way in the terminal: the program in the guest, the agent, and real drives. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { bundleSources } from '../../chaos/bundle.ts';
import { cleanUp } from '../../contract/controller-agent.ts';
import { controllerAt, type Running } from '../../contract/controller-terminal.ts';
import { makeOperator } from '../../unit/agent/ops/operator.ts';
import { type Scene, withFormats } from './format-agent.ts';
import { shownOn } from './formatting.ts';
import { type Lab, type LabDrive, labMissing, outcome, run } from './lab.ts';
import { until } from './touching.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });
afterEach(cleanUp);

/** One that backups were written to. */
const backupDrive = async (lab: Lab): Promise<LabDrive> => {
  const drive = await lab.drive({ name: 'old', model: 'Elements 25A3', serial: 'WXB2A0000105' });
  await lab.mkfs(drive.device, 'ext4', { label: 'old' });
  const point = join(lab.dir, 'filled');
  await run('mkdir', '-p', point);
  await lab.mount(drive.device, point);
  await run('mkdir', '-p', join(point, 'dump'));
  await run('touch', join(point, 'dump/vzdump-lxc-101-2026_01_01-00_00_00.tar.zst'));
  await lab.umount(point);
  return drive;
};

/** In the guest: the program, and the file that the host has pushed. */
const inGuest = async ({ lab, agent }: Scene) => {
  const dir = join(lab.dir, 'guest');
  mkdirSync(join(dir, 'run'), { recursive: true });
  const { host, port, fingerprint, token } = agent.address(101);
  const bootstrap = { vmid: 101, token, endpoints: [{ address: host, port, fingerprints: [fingerprint] }] };
  writeFileSync(join(dir, 'bootstrap.json'), JSON.stringify(bootstrap));
  const config = join(dir, 'controller.yaml');
  writeFileSync(config, `bootstrap: ${dir}/bootstrap.json\nruntime_dir: ${dir}/run\nstate_dir: ${dir}/state\n`);
  const main = await bundleSources('controller-under-test', { main: 'controller/main.ts' });
  return controllerAt(main, config);
};

const ended = async (running: Running): Promise<[status: number | null, screen: string]> => [
  await running.ended,
  running.screen(),
];
const mountsAt = (point: string): number =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4] === point).length;
const hash = async ({ device }: LabDrive): Promise<string> => (await outcome('sha256sum', device)).stdout.split(' ')[0] ?? '';

describe.skipIf(labMissing !== '')(`felhom-controller disks${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a blank drive at once, one with photos after its name was typed, one with backups after the operator has signed', () =>
    withFormats(
      async (lab) => {
        const photos = await lab.drive({ name: 'photos', model: 'Portable SSD T7', serial: 'S5SXNS0R000103' });
        await lab.mkfs(photos.device, 'ext4', { label: 'photos' });
        return { photos, blank: await lab.drive({ name: 'blank', serial: 'B1', mb: 32 }), old: await backupDrive(lab) };
      },
      async (scene, { photos, blank, old }) => {
        const { onTerminal, piped } = await inGuest(scene);
        const format = (drive: LabDrive) => ['format', drive.name, '--fstype', 'ext4'];
        /** What stands for udev takes its time on a busy machine. */
        const canBeConnected = (drive: LabDrive) => until(async () => (await scene.disk(drive)).not_assignable === '', 30_000);

        /** A busy machine has not looked at a drive in time: asked again, as the answer says. */
        const whenLooked = async (ask: () => ReturnType<typeof ended>): ReturnType<typeof ended> => {
          let answer = await ask();
          for (let tries = 1; tries < 10 && /not wholly\s+known/.test(answer[1]); tries += 1) answer = await ask();
          return answer;
        };

        const [listed, screen] = await ended(onTerminal('list'));
        expect(listed, screen).toBe(0);
        for (const { name } of [photos, blank, old]) expect(screen).toContain(name);
        expect(screen).toMatch(/Portable SSD T7 +ext4 "photos" +free: can be connected/);
        expect(screen).toMatch(/Elements 25A3 .*the host's backups/);

        const [made, said] = await whenLooked(() => ended(piped('', ...format(blank))));
        expect(made, said).toBe(0);
        expect(said).toContain(`\nfelhom-controller disks assign ${blank.name} --name data\n`);
        expect((await shownOn(blank, [`${blank.name}p1`])).fstype).toBe('ext4');

        // As it said, and back again.
        await canBeConnected(blank);
        const place = join(scene.lab.dir, 'mnt/data');
        const [connected, where] = await ended(piped('', 'assign', blank.name, '--name', 'data'));
        expect([connected, mountsAt(place)], where).toEqual([0, 1]);
        await until(async () => (await scene.disk(blank)).mount_path === place, 30_000);
        const [inUse, why] = await whenLooked(() => ended(piped('', ...format(blank))));
        expect(inUse, why).toBe(1);
        expect(why).toMatch(/Eject it first/);
        const [ejected, gone] = await ended(piped('', 'eject', 'data'));
        expect([ejected, mountsAt(place)], gone).toEqual([0, 0]);
        expect(gone).toContain('You may pull it out now.');

        const before = [await hash(photos), await hash(old)];
        for (const [drive, expected] of [
          [photos, 3],
          [old, 4],
        ] as const) {
          const [status, told] = await whenLooked(() => ended(piped('y\n', ...format(drive))));
          expect(status, told).toBe(expected);
        }
        expect(await Promise.all([photos, old].map(hash))).toEqual(before);

        const asked = onTerminal(...format(photos));
        await asked.shows('Its model: ');
        asked.types('portable ssd t7');
        await asked.shows('serial number: ');
        asked.types('0103');
        expect(await asked.ended, asked.screen()).toBe(0);
        expect((await shownOn(photos, [`${photos.name}p1`])).uuid).not.toBe('');

        const operator = await makeOperator();
        writeFileSync(join(scene.lab.dir, 'host/agent/opsign.keys'), operator.line());
        const wiped = onTerminal(...format(old));
        await wiped.shows('(Enter: later): ');
        const [, host = '', id = ''] =
          /\r\nfelhom-opsign -op storage_wipe -host (\S+) -durable-id (\S+)\r\n/.exec(wiped.screen()) ?? [];
        wiped.types(await operator.sign(host, id));
        expect(await wiped.ended, wiped.screen()).toBe(0);
        expect((await shownOn(old, [`${old.name}p1`])).fstype).toBe('ext4');
        await canBeConnected(old);
        expect(await scene.disk(old)).toMatchObject({ role: 'user-data', owner: 'yours' });
      },
    ));
});
