/** The ports that touch drives, as the agent has them, on drives of a lab. */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { createProbes, type ProbePorts } from '#agent/disks/sources/probes';
import { seenMounts } from '#agent/disks/sources/seen-mounts';
import { createBlockCounters } from '#agent/ports/block-counters';
import { systemClock } from '#agent/ports/clock';
import { runForOutcome } from '#agent/ports/command';
import { createDriveCheck, type DriveCheckOptions } from '#agent/ports/drive-check';
import { createProbe } from '#agent/ports/probe';
import { createProc } from '#agent/ports/proc';
import { createSysfs, type KernelDevice } from '#agent/ports/sysfs';
import { bundleSources } from '../../chaos/bundle.ts';
import type { LabDrive } from './lab.ts';

/** The program as it ships, which starts ten times as quickly as through a loader. */
export const program = [process.execPath, await bundleSources('drive-check', { main: 'agent/drive-check/main.ts' })];

export const driveCheck = (timeoutMs: DriveCheckOptions['timeoutMs'] = {}) =>
  createDriveCheck({ clock: systemClock, program, timeoutMs });

export const mountsNow = async () => ({ known: true as const, value: await seenMounts(createProc()) });

/** As the kernel has it at this moment. */
export const deviceOf = async (drive: Pick<LabDrive, 'name'>): Promise<KernelDevice> => {
  const found = (await createSysfs().kernelDevices()).find(({ name }) => name === drive.name);
  if (found === undefined) throw new Error(`the kernel has no ${drive.name}`);
  return found;
};

export const probesOf = (ports: Partial<ProbePorts> = {}) => {
  const probes = createProbes({
    clock: systemClock,
    device: createProbe(runForOutcome),
    counters: createBlockCounters(),
    check: driveCheck(),
    isAsleep: async () => false,
    mounts: mountsNow,
    mayLook: () => true,
    settleMs: 0,
    ...ports,
  });
  /** While udev is not asked, nobody waits for it. */
  const read = async (...drives: Pick<LabDrive, 'name'>[]) =>
    probes.read(await Promise.all(drives.map(deviceOf)), { known: false, why: '' });
  return { probes, read };
};

/** Everything that the kernel counts of a drive: reads, writes, requests. */
export const statOf = ({ name }: Pick<LabDrive, 'name'>): string => readFileSync(`/sys/block/${name}/stat`, 'utf8');

export const digestOf = async (file: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece as Buffer);
  return hash.digest('hex');
};

export const until = async (met: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> => {
  const end = performance.now() + ms;
  while (!(await met())) {
    if (performance.now() > end) throw new Error('it did not come to that in time');
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
};
