/** The whole agent over loop drives that it may format, and what stands for udev. */

import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { DriveFormat } from '#agent/ports/drive-format';
import { type DriveAgent, startDriveAgent } from '../../contract/drive-agent.ts';
import { takeDown } from '../../demo/take-down.ts';
import { get } from '../../stranger/client.ts';
import { formatsIn } from './formatting.ts';
import { type Lab, type LabDrive, withLab } from './lab.ts';
import { driveCheck, until } from './touching.ts';

export interface Scene {
  lab: Lab;
  agent: DriveAgent;
  /** As `GET /disks` shows it now; whoever asks after a deed, even one that was refused, is answered with a new look. */
  disk(drive: LabDrive, vmid?: number): Promise<Record<string, unknown>>;
  format(drive: LabDrive, more?: object, vmid?: number): Promise<{ status: number; json: { data: Answer; code: string } }>;
  /** Of a drive with data: the id that confirms. */
  asked(drive: LabDrive, fstype?: string, vmid?: number): Promise<string>;
  /** The same files and drives under a new agent. */
  restarted(driveFormat?: DriveFormat): Promise<void>;
}

export interface Answer {
  formatted: boolean;
  data_bearing: boolean;
  reason: string;
  job_id: string;
  durable_id: string;
  needs_confirmation?: boolean;
  pending_op?: { id: string };
}

/** udev looks at a drive again whenever its partitions have changed, and when it was written. */
export const udevFor = (lab: Lab, drives: readonly LabDrive[]): (() => void) => {
  const seen = new Map<string, string>();
  let busy: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    for (const drive of drives) {
      const parts = readdirSync(`/sys/block/${drive.name}`)
        .filter((name) => name.startsWith(drive.name))
        .join();
      if (seen.get(drive.name) !== parts || parts !== '') await lab.settle(drive).catch(() => undefined);
      seen.set(drive.name, parts);
    }
  };
  const timer = setInterval(() => {
    busy = busy.then(look, look);
  }, 200);
  return async () => {
    clearInterval(timer);
    await busy;
  };
};

/** @param make the drives; guests 101 and 102 may take free ones */
export const withFormats = <Drives extends Record<string, LabDrive>>(
  make: (lab: Lab) => Promise<Drives>,
  use: (scene: Scene, drives: Drives) => Promise<void>,
  driveFormatIn: (lab: Lab) => DriveFormat = formatsIn,
): Promise<void> =>
  withLab(async (lab) => {
    const drives = await make(lab);
    const dir = join(lab.dir, 'host');
    mkdirSync(dir);
    chmodSync(lab.dir, 0o711);
    lab.undo(() => takeDown(lab.dir));
    lab.undo(udevFor(lab, Object.values(drives)));
    const disks = {
      mount_root: join(lab.dir, 'mnt'),
      udev_dir: lab.udevDir,
      loop_drives: lab.loopDrives,
      guests: [101, 102],
    };
    const start = (driveFormat: DriveFormat) => startDriveAgent({ dir, disks, drives: { check: driveCheck(), driveFormat } });
    let agent = await start(driveFormatIn(lab));
    lab.undo(() => agent.close());
    const scene: Scene = {
      lab,
      get agent() {
        return agent;
      },
      disk: async ({ name }, vmid = 101) => {
        await agent.post('/disks/eject', { where: '/nothing' });
        return (await get(agent.address(vmid), '/disks')).disks.find((one: { name: string }) => one.name === name);
      },
      format: async (drive, more = {}, vmid = 101) => {
        const ask = () => agent.post('/disks/format', { device: drive.device, fstype: 'ext4', ...more }, vmid);
        let answer = await ask();
        // A busy machine has not looked at it in time: asked again, as the answer says.
        for (let tries = 1; tries < 10 && answer.json.code === 'not-known'; tries += 1) {
          await pause(1_000);
          answer = await ask();
        }
        return answer as never;
      },
      asked: async (drive, fstype = 'ext4', vmid = 101) => (await scene.format(drive, { fstype }, vmid)).json.data.durable_id,
      restarted: async (driveFormat = driveFormatIn(lab)) => {
        await agent.close();
        agent = await start(driveFormat);
      },
    };
    // The agent tests what it sees before it does anything, and reads the drives.
    await until(async () => {
      const listed = await Promise.all(Object.values(drives).map((drive) => scene.disk(drive)));
      return listed.every((disk) => !/not been looked|not been read|only just started|looked into/.test(JSON.stringify(disk)));
    }, 30_000);
    await use(scene, drives);
  });
