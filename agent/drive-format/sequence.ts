/** The steps of a format, from the drive's name to its new file system. */
import { closeSync, fsyncSync } from 'node:fs';
import { nodeOf } from './block-device.ts';
import { check } from './check.ts';
import { clear } from './clear.ts';
import { Failed } from './failed.ts';
import { MAKERS } from './filesystems.ts';
import { hold, takeAlone } from './hold.ts';
import type { FormatOrder, Phase } from './protocol.ts';
import { runOn, SECOND } from './run-on.ts';
import { makeTable } from './table.ts';

export interface Course {
  /** Called before each step is begun, and awaited. */
  step(phase: Phase): Promise<void>;
  /** Called when the drive is held; false: it is let go, and nothing has been written. */
  mayBegin(): Promise<boolean>;
}

export interface Made {
  uuid: string;
  /** `/dev/sdb1` */
  partition: string;
}

/** The device files of this process; closed in the end, the last opened first. */
const openFiles = () => {
  const open: number[] = [];
  return {
    keep: (fd: number): number => {
      open.push(fd);
      return fd;
    },
    close: (fd: number): void => {
      open.splice(open.indexOf(fd), 1);
      closeSync(fd);
    },
    closeAll: (): void => {
      for (const fd of open.splice(0).reverse()) closeSync(fd);
    },
  };
};

/** mkfs opens the partition for itself alone. It has both of ours, so that the lock lives as long as it does, whatever happens here. */
const make = (drive: number, partition: number, { fstype, root }: FormatOrder): void => {
  const { program, args } = MAKERS[fstype];
  const { exit, stderr } = runOn([drive, partition], program, [...args(root), SECOND]);
  if (exit !== 0) throw new Failed('mkfs', `${program} ended with ${exit}: ${stderr.slice(0, 2000)}`);
  fsyncSync(partition);
};

/** Null: it was not to begin. Rejects with Failed, or what the system says. */
export const format = async (order: FormatOrder, { step, mayBegin }: Course): Promise<Made | null> => {
  const maker = MAKERS[order.fstype];
  const files = openFiles();
  try {
    await step('opening');
    const drive = hold(order);
    files.keep(drive.fd);
    await step('holding');
    const alone = files.keep(takeAlone(drive));
    drive.assertSame();
    if (!(await mayBegin())) return null;

    await step('wiping');
    drive.assertSame();
    clear(drive, alone);
    // The kernel takes up no new table while anybody has the drive alone: from here to mkfs only the lock keeps others away.
    files.close(alone);

    await step('partitioning');
    drive.assertSame();
    const partition = await makeTable(drive, maker.partitionType);
    files.keep(partition.fd);

    await step('making');
    drive.assertSame();
    make(drive.fd, partition.fd, order);

    await step('checking');
    drive.assertSame();
    const uuid = check(drive.fd, partition.fd, order.fstype, maker);
    drive.assertSame();
    return { uuid, partition: nodeOf(partition.name) };
  } finally {
    files.closeAll();
  }
};
