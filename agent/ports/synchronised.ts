/** Whether the kernel says that its clock is synchronised (adjtimex(2), STA_UNSYNC), as systemd tells it. timedatectl(1), timedate1(5). */
import type { RunCommand } from './command.ts';

/** False where nobody says so. Never rejects. */
export const createSynchronised = (run: RunCommand<'timedatectl'>) => async (): Promise<boolean> =>
  (await run('timedatectl', ['show', '--property=NTPSynchronized', '--value']).catch(() => '')).trim() === 'yes';
