/** What systemd gives this program, and what it says of the machine. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';

/** sd_listen_fds(3): the first descriptor that is passed. */
const FIRST_FD = 3;
const SYSTEMCTL = '/usr/bin/systemctl';
const ANSWER_MS = 2000;

/** The socket that systemd listens on; null: none was passed to this very process. */
export const passedSocket = (env: NodeJS.ProcessEnv, pid: number): number | null =>
  env.LISTEN_PID === String(pid) && Number(env.LISTEN_FDS) >= 1 ? FIRST_FD : null;

/** Whether the machine goes down: then nothing is started any more. systemctl(1), is-system-running. */
export const isGoingDown = (): Promise<boolean> =>
  new Promise((resolve) => {
    if (!existsSync('/run/systemd/system')) return resolve(false);
    execFile(SYSTEMCTL, ['is-system-running'], { timeout: ANSWER_MS, killSignal: 'SIGKILL' }, (_status, stdout) =>
      resolve(stdout.trim() === 'stopping'),
    );
  });
