/** Drives of the host. This version neither lists nor changes them, and says so. */
import { FelhomError } from '#shared/errors';
import type { Disks } from '#shared/wire/disks';

const notYet = (deed: string, instead: string): never => {
  throw new FelhomError('not-supported-yet', `This version of felhom cannot ${deed} yet. ${instead}`);
};

export const createDisks = () => ({
  list: (vmid: number): Disks => ({
    vmid,
    disks: [],
    reason:
      'This version of felhom does not list drives yet: the list is empty because nobody looked, not because there are none.',
  }),
  assign: (): never => notYet('connect a drive', 'Nothing was changed. Please ask your operator to connect it for you.'),
  eject: (): never => notYet('eject a drive', 'The drive is still in use: do not unplug it. Please ask your operator.'),
  format: (): never => notYet('format a drive', 'Nothing was erased. Please ask your operator to prepare the drive.'),
});
export type DiskService = ReturnType<typeof createDisks>;
