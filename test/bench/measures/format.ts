/** How long a format takes with each file system, and that a call is answered in time on a drive with which it takes a minute. */
import { setTimeout as pause } from 'node:timers/promises';
import { MAKERS } from '#agent/drive-format/filesystems';
import { systemClock } from '#agent/ports/clock';
import { createDriveFormat, type FormatOrder } from '#agent/ports/drive-format';
import { createSysfs } from '#agent/ports/sysfs';
import { type Address, type Answer, call } from '../../stranger/client.ts';
import { hungDrive, hungMissing } from '../../system/drives/hung.ts';
import { type Lab, type LabDrive, labMissing, withLab } from '../../system/drives/lab.ts';
import { ask, startChild } from '../children.ts';
import type { DriveAgentQuestion } from '../drive-agent.ts';
import { atMost, type Figure, median, summarise } from '../figure.ts';
import type { Measure } from '../measure.ts';
import type { Scope } from '../scope.ts';

const FSTYPES = Object.keys(MAKERS) as FormatOrder['fstype'][];
const GIB_IN_MB = 1024;
const ROOT = { uid: 100_000, gid: 100_000 };

const orderFor = async (drive: LabDrive, jobId: string, fstype: FormatOrder['fstype']) => {
  const found = (await createSysfs().kernelDevices()).find(({ name }) => name === drive.name);
  if (found?.diskseq == null || found.sizeBytes === null) throw new Error(`the kernel has no ${drive.name}`);
  const { numbers, diskseq, sizeBytes } = found;
  return { jobId, device: drive.device, numbers, diskseq, sizeBytes, fstype, root: ROOT };
};

/** Milliseconds until it is held, and from then until it has ended. */
const once = async (lab: Lab, drive: LabDrive, fstype: FormatOrder['fstype'], round: number): Promise<[number, number]> => {
  const formats = createDriveFormat({ clock: systemClock, stateDir: lab.dir, byScope: false });
  const order = await orderFor(drive, `bench-${fstype}-${round}`, fstype);
  const began = performance.now();
  const held = await formats.hold(order);
  const heldAt = performance.now();
  await held.go();
  for (;;) {
    const found = await formats.state(order.jobId);
    if (found?.state.outcome?.ok === true) return [heldAt - began, performance.now() - heldAt];
    if (found === null || found.state.outcome !== null || !found.alive) throw new Error(JSON.stringify(found));
    await pause(5);
  }
};

const making = (fstype: FormatOrder['fstype'], rounds: number): Promise<Figure[]> =>
  withLab(async (lab) => {
    const drive = await lab.drive({ name: 'bench', mb: GIB_IN_MB });
    const samples: [number, number][] = [];
    for (let round = 0; round < rounds; round += 1) samples.push(await once(lab, drive, fstype, round));
    const ms = samples.map(([, made]) => made);
    const note = `${rounds} rounds; before that ${median(samples.map(([held]) => held)).toFixed(0)} ms until it is held`;
    return [
      { name: `format of a 1 GiB loop device, ${fstype}, p50`, value: median(ms), unit: 'ms', note, samples: summarise(ms) },
    ];
  });

/** About 36 MB are written before mkfs. */
const SLOW_MB = 64;
const BYTES_PER_SECOND = 600_000;

const settled = async (address: Address, drive: LabDrive): Promise<void> => {
  for (let tries = 0; tries < 200; tries += 1) {
    const { json } = await call(address, 'GET', '/disks');
    if (json.data?.disks.some(({ name, role }: { name: string; role: string }) => name === drive.name && role === 'user-data'))
      return;
    await pause(100);
  }
  throw new Error('the drive is not listed as one that may be formatted');
};

const expectStatus = ({ status, json }: Answer, expected: number): void => {
  if (status !== expected) throw new Error(`format answered ${status} instead of ${expected}: ${JSON.stringify(json)}`);
};

/** @param toTheEnd at that speed; else only until the call is answered */
const answering = (scope: Scope, toTheEnd: boolean): Promise<Figure[]> =>
  withLab(async (lab) => {
    const drive = await hungDrive(lab, 'slow', SLOW_MB, { serial: 'BENCH-SLOW' });
    const question: DriveAgentQuestion = { real: { udev_dir: lab.udevDir, loop_drives: lab.loopDrives, asleep: false } };
    const agent = startChild(scope, 'drive-agent', ['--max-semi-space-size=1', '--max-old-space-size=64']);
    const address = await ask<DriveAgentQuestion, Address>(agent, question);
    await settled(address, drive);
    const body = { device: drive.device, fstype: 'ext4' };
    const refused = await call(address, 'POST', '/disks/format', body);
    if (refused.status === 200) throw new Error('it was proved blank before the drive was slow');
    expectStatus(refused, 403);
    const { durable_id } = refused.json.data;
    drive.slows(BYTES_PER_SECOND);
    const began = performance.now();
    const begun = await call(address, 'POST', '/disks/format', { ...body, confirmed: true, durable_id });
    const answeredMs = performance.now() - began;
    expectStatus(begun, 202);
    if (!toTheEnd) drive.answer();
    for (;;) {
      const { json } = await call(address, 'GET', `/jobs/${begun.json.data.job_id}`);
      if (json.data?.state === 'done') break;
      if (json.data?.state !== 'running') throw new Error(`the format ended otherwise: ${JSON.stringify(json)}`);
      await pause(200);
    }
    const seconds = (performance.now() - began) / 1000;
    const note = toTheEnd
      ? `202; the whole format took ${seconds.toFixed(0)} s at ${BYTES_PER_SECOND / 1000} kB/s`
      : '202; then the drive was let run freely';
    return [
      { name: 'POST /disks/format on a slow drive, answer', value: answeredMs / 1000, unit: 's', budget: atMost(10), note },
    ];
  });

export const format: Measure = {
  name: 'format',
  about: 'how long a format takes with each file system, and when it is answered on a slow drive',
  run: async ({ scope, quick, say }) => {
    if (labMissing !== '') throw new Error(labMissing);
    const figures: Figure[] = [];
    for (const fstype of FSTYPES) {
      say(fstype);
      figures.push(...(await making(fstype, quick ? 3 : 10)));
    }
    if (hungMissing !== '') say(`no slow drive: ${hungMissing}`);
    else {
      say('a slow drive');
      figures.push(...(await answering(scope, !quick)));
    }
    return figures;
  },
};
