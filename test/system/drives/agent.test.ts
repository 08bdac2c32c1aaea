/** The whole agent over real drives: guests ask over TLS, mounts are real, and what one guest has no other gets. */
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { createDriveCheck } from '#agent/ports/drive-check';
import { bundleSources } from '../../chaos/bundle.ts';
import { type DriveAgent, startDriveAgent } from '../../contract/drive-agent.ts';
import { takeDown } from '../../demo/take-down.ts';
import { get } from '../../stranger/client.ts';
import { type Lab, type LabDrive, labMissing, withLab } from './lab.ts';

interface Scene {
  lab: Lab;
  agent: DriveAgent;
  root: string;
  photos: LabDrive;
  uuid: string;
  where: string;
}

/** As it ships: from its sources it takes seconds to start. */
const quickCheck = async () => {
  const program = [process.execPath, await bundleSources('drive-check-test', { main: 'agent/drive-check/main.ts' })];
  return createDriveCheck({ clock: systemClock, program });
};

/** One drive of a customer's, one blank one. Guests 101 and 102 may take drives. */
const withAgent = (use: (scene: Scene) => Promise<void>): Promise<void> =>
  withLab(async (lab) => {
    const photos = await lab.drive({ name: 'photos', model: 'Portable SSD', serial: 'P1' });
    const uuid = await lab.mkfs(photos.device, 'ext4', { label: 'photos' });
    await lab.drive({ name: 'blank', serial: 'B1', mb: 16 });
    const dir = join(lab.dir, 'host');
    mkdirSync(dir);
    // A container's root goes through it.
    chmodSync(lab.dir, 0o711);
    const root = join(lab.dir, 'mnt');
    lab.undo(() => takeDown(lab.dir));
    const disks = { mount_root: root, udev_dir: lab.udevDir, loop_drives: lab.loopDrives, guests: [101, 102] };
    const agent = await startDriveAgent({ dir, disks, drives: { check: await quickCheck() } });
    lab.undo(agent.close);
    await use({ lab, agent, root, photos, uuid, where: join(root, 'photos') });
  });

const disk = async ({ agent, photos }: Scene, vmid = 101) =>
  (await get(agent.address(vmid), '/disks')).disks.find(({ name }: { name: string }) => name === photos.name);

/** Drives are read first; whoever asks after a deed, even one that was refused, is answered with a new look. */
const readyToAssign = (scene: Scene): Promise<void> =>
  expect
    .poll(
      async () => {
        await scene.agent.post('/disks/eject', { where: '/nothing' });
        return (await disk(scene)).not_assignable;
      },
      { timeout: 20_000 },
    )
    .toBe('');

const mountedAt = (point: string): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${point} `);

/** What a drive has had read from it since it was plugged in, and how often. Documentation/block/stat.rst. */
const readsOf = ({ name }: LabDrive): string[] => readFileSync(`/sys/block/${name}/stat`, 'utf8').trim().split(/\s+/).slice(0, 3);

describe.skipIf(labMissing !== '')(
  `the agent and its drives${labMissing && ` (skipped: ${labMissing})`}`,
  { timeout: 60_000 },
  () => {
    test('connected, shown to its owner only, kept from everybody else, ejected, and let go by root', () =>
      withAgent(async (scene) => {
        const { agent, uuid, where, photos } = scene;
        await readyToAssign(scene);
        expect(await disk(scene)).toMatchObject({
          durable_id: `uuid:${uuid}`,
          owner: 'free',
          label: 'photos',
          model: 'Portable SSD',
        });

        const stream = await agent.listen(102);
        const told = stream.next('disks');
        const assigned = await agent.post('/disks/assign', { uuid, where, fstype: 'ext4', options: 'noatime' });
        expect(assigned).toMatchObject({ status: 200, json: { ok: true, data: { vmid: 101, uuid, where } } });
        expect(mountedAt(where)).toBe(true);
        expect(await told).toEqual({ vmid: 102 });
        stream.end();
        expect(await disk(scene)).toMatchObject({
          state: 'mounted',
          owner: 'yours',
          mount_path: where,
          used_bytes: expect.any(Number),
        });

        // T3: whatever the other guest tries.
        expect(await disk(scene, 102)).toMatchObject({
          owner: 'not-yours',
          durable_id: '',
          mount_path: '',
          serial: '',
          label: '',
        });
        for (const [path, body] of [
          ['/disks/assign', { uuid, where: `${where}2`, fstype: 'ext4' }],
          ['/disks/assign', { uuid, where, fstype: 'ext4' }],
          ['/disks/eject', { where }],
        ] as const) {
          const { status, json } = await agent.post(path, body, 102);
          expect([status, json.ok]).toEqual([200, false]);
        }
        expect([mountedAt(where), mountedAt(`${where}2`)]).toEqual([true, false]);

        await expect(agent.admin('POST', '/drives/release', { drive: photos.name })).rejects.toThrow(
          new RegExp(`${where} for guest 101`),
        );
        const { drive } = await agent.admin('GET', `/drive?drive=${photos.name}`);
        expect(drive).toMatchObject({
          owner: { vmid: 101, suspended: false },
          holders: expect.arrayContaining([expect.objectContaining({ kind: 'mount' })]),
        });

        expect(await agent.post('/disks/eject', { where })).toMatchObject({
          json: { ok: true, data: { ejected: true, dependent_guests: [] } },
        });
        expect([mountedAt(where), existsSync(where)]).toEqual([false, false]);
        expect(await disk(scene)).toMatchObject({ state: 'available', owner: 'yours', mount_path: '' });
        expect(await disk(scene, 102)).toMatchObject({ owner: 'not-yours' });
        await agent.admin('POST', '/drives/release', { drive: 'P1' });
        expect(await disk(scene, 102)).toMatchObject({ owner: 'free', durable_id: `uuid:${uuid}` });
      }));

    test('what somebody else unmounted is noticed and mounted again, though nobody asks for it', () =>
      withAgent(async (scene) => {
        const { agent, lab, uuid, where } = scene;
        await readyToAssign(scene);
        await agent.post('/disks/assign', { uuid, where, fstype: 'ext4' });
        expect(mountedAt(where)).toBe(true);
        const stream = await agent.listen(101);
        const back = stream.next('disks');
        await lab.umount(where);
        expect(await back).toEqual({ vmid: 101 });
        await expect.poll(() => mountedAt(where), { timeout: 30_000 }).toBe(true);
        stream.end();
        await agent.post('/disks/eject', { where });
      }));

    test('listing drives again and again reads nothing from them', () =>
      withAgent(async (scene) => {
        const { agent, photos } = scene;
        await readyToAssign(scene);
        const before = readsOf(photos);
        for (let each = 0; each < 3; each += 1) {
          await agent.post('/disks/eject', { where: '/nothing' });
          expect((await get(agent.address(), '/disks')).age_seconds).toBeLessThan(2);
        }
        expect(readsOf(photos)).toEqual(before);
      }));
  },
);
