/** Root's decisions over a guest, with what they mean for its drives: where they are to show, and that none is left behind. */
import type { Bootstrap } from '#shared/bootstrap';
import { FelhomError } from '#shared/errors';
import type { Journal } from '../ports/journal.ts';

export interface EnrolmentPorts {
  guests: {
    enroll(vmid: number): Promise<{ bootstrap: Bootstrap }>;
    remove(vmid: number): Promise<{ vmid: number }>;
    enrolled(): readonly { vmid: number }[];
  };
  /** Where a guest's drives show. */
  directories: {
    prepare(vmid: number): Promise<void>;
    give(vmid: number): Promise<{ note: string }>;
    share(vmid: number): Promise<{ note: string }>;
    takeBack(vmid: number): Promise<void>;
  };
  /** Whose drives are mounted, and where. */
  assignments: () => readonly { vmid: number; mountPoint: string }[];
  /** False where this is no host of Proxmox's own (tests, the demo): the directory is made with the first drive then. */
  prepares: boolean;
  journal: Journal;
}

const said = (error: unknown): string => (error instanceof FelhomError ? error.message : 'The reason is in the journal.');

export const createEnrolment = ({ guests, directories, assignments, prepares, journal }: EnrolmentPorts) => {
  /** For the operator; what fails here does not undo what was done before. */
  const noteOf = async (vmid: number, failure: string, act: () => Promise<string>): Promise<string> => {
    try {
      return await act();
    } catch (error) {
      journal('warning', failure, { vmid, cause: String(error instanceof FelhomError ? (error.cause ?? error) : error) });
      return `${failure} ${said(error)}`;
    }
  };

  const prepare = async (vmid: number): Promise<void> => {
    if (prepares) await directories.prepare(vmid);
  };

  /** @returns `note`: what is left to be done, so that drives show in it; empty where nothing is */
  const enroll = async (vmid: number): Promise<{ bootstrap: Bootstrap; note: string }> => {
    const { bootstrap } = await guests.enroll(vmid);
    const note = await noteOf(vmid, `Drives do not show in guest ${vmid} yet.`, async () => {
      await prepare(vmid);
      return (await directories.give(vmid)).note;
    });
    return { bootstrap, note };
  };

  const share = async (vmid: number): Promise<{ vmid: number; note: string }> => {
    if (!guests.enrolled().some((guest) => guest.vmid === vmid))
      throw new FelhomError('guest-not-enrolled', `Guest ${vmid} is not enrolled. "felhom-agent guest list" shows who is.`);
    return { vmid, ...(await directories.share(vmid)) };
  };

  const refuseWithDrives = (vmid: number): void => {
    const places = assignments().flatMap((one) => (one.vmid === vmid ? [one.mountPoint] : []));
    if (places.length === 0) return;
    throw new FelhomError(
      'drive-in-use',
      `Guest ${vmid} still has drives: ${places.join(', ')}. Eject each with "felhom-agent disks eject <place>"; then it can be removed. Nothing was changed.`,
    );
  };

  const remove = async (vmid: number): Promise<{ vmid: number; note: string }> => {
    refuseWithDrives(vmid);
    await guests.remove(vmid);
    const note = await noteOf(vmid, `The directory of its drives could not be taken from guest ${vmid}.`, async () => {
      await directories.takeBack(vmid);
      return '';
    });
    return { vmid, note };
  };

  /** At the agent's start: where nothing brings the directories back by itself, and for guests that were enrolled before there were any. */
  const begin = async (): Promise<void> => {
    for (const { vmid } of guests.enrolled())
      await noteOf(vmid, `Drives do not show in guest ${vmid}.`, async () => {
        await prepare(vmid);
        return '';
      });
  };

  return { enroll, share, remove, begin };
};
export type Enrolment = ReturnType<typeof createEnrolment>;
