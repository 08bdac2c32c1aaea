/** An agent whose host has as many drives as the bench wants, or a drive that sleeps. */
import { createSysfs } from '#agent/ports/sysfs';
import type { DriveSources } from '#agent/serve-drive-evidence';
import { startDriveAgent } from '../contract/drive-agent.ts';
import { hostWith, manyDrives, sourcesOf } from '../contract/drive-sources.ts';
import type { Address } from '../stranger/client.ts';
import { answerQuestions } from './children.ts';

export interface DriveAgentQuestion {
  /** Drives that there are not, beside the system's. */
  pretended?: number;
  /** Loop devices that are there. `asleep`: as the kernel's own power management would say. */
  real?: { udev_dir: string; loop_drives: string[]; asleep: boolean };
}

/** As a drive that the kernel has put to sleep (Documentation/ABI/testing/sysfs-devices-power). */
const sleeping = (): NonNullable<DriveSources['sysfs']> => {
  const sysfs = createSysfs();
  return {
    btrfsMembers: sysfs.btrfsMembers,
    kernelDevices: async () =>
      (await sysfs.kernelDevices()).map((device) => ({ ...device, suspended: device.backingFile !== null })),
  };
};

const sourcesFor = ({ pretended, real }: DriveAgentQuestion): DriveSources => {
  if (pretended !== undefined) {
    const host = hostWith(manyDrives(pretended));
    return sourcesOf(() => host);
  }
  // Of a host whose drives are files the self-test reads one of them; of any other the drive of its root, which never sleeps.
  const selfTest = { run: async () => '' };
  return real?.asleep === true ? { sysfs: sleeping(), selfTest } : { selfTest };
};

answerQuestions(async (question: DriveAgentQuestion): Promise<Address> => {
  const { udev_dir = '/run/udev', loop_drives = [] } = question.real ?? {};
  const disks = { mount_root: '/mnt/felhom-bench', guests: [101], udev_dir, loop_drives };
  const agent = await startDriveAgent({ vmids: [101], drives: sourcesFor(question), disks });
  process.once('SIGTERM', () => void agent.close().finally(() => process.exit()));
  return agent.address();
});
