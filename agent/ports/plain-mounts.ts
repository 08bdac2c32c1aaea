/** Mounts by mount(8) in the agent's own namespace: where systemd is not the first process. What lasts are the assignments' rows. */
import { parseMountinfo } from '#shared/mountinfo';
import type { RunCommand } from './command.ts';
import type { DriveMounts } from './drive-mounts.ts';
import type { Proc } from './proc.ts';

export interface PlainMountsPorts {
  run: RunCommand;
  proc: Pick<Proc, 'mountinfo'>;
}

/** Mounts may lie on each other; more than these were not made by us. */
const MAX_LAYERS = 8;

export const createPlainMounts = ({ run, proc }: PlainMountsPorts): DriveMounts => {
  const seen = async () => parseMountinfo(await proc.mountinfo());
  const isMounted = async (where: string): Promise<boolean> => (await seen()).some(({ point }) => point === where);

  /** Without looking at the path first: on a drive that hangs, the look would. */
  const unmountAt = async (point: string, ...flags: string[]): Promise<void> => {
    for (let layer = 0; await isMounted(point); layer += 1) {
      if (layer >= MAX_LAYERS) throw new Error(`${point} is still mounted`);
      await run('umount', ['--no-canonicalize', ...flags, '--', point]);
    }
  };

  return {
    seen,
    keep: async () => undefined,
    drop: async () => undefined,
    mount: async ({ mountPoint, fstype, options }, device) => {
      if (await isMounted(mountPoint)) return;
      await run('mount', ['-t', fstype, '-o', options, '--source', device, '--target', mountPoint]);
    },
    show: async ({ mountPoint, guestPoint }) => {
      if (await isMounted(guestPoint)) return;
      await run('mount', ['-o', 'bind', '--source', mountPoint, '--target', guestPoint]);
    },
    unmount: async ({ mountPoint, guestPoint }) => {
      await unmountAt(guestPoint);
      await unmountAt(mountPoint);
    },
    cutOff: async ({ mountPoint, guestPoint }) => {
      await unmountAt(guestPoint, '--lazy');
      await unmountAt(mountPoint, '--lazy');
    },
  };
};
