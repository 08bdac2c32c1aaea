/** The account that an application's child takes: looked up and taken for good, before anything of the application is touched. */
import { execFileSync } from 'node:child_process';
import type { Account } from './adapters/adapter.ts';

/** Asks every source of accounts that nsswitch.conf(5) names. */
const GETENT = '/usr/bin/getent';

interface Entry extends Account {
  home: string;
}

/** passwd(5); null where there is no such account. @param key a name or a number */
const lookUp = (key: string): Entry | null => {
  try {
    const line = execFileSync(GETENT, ['passwd', '--', key], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [name = '', , uid, gid, , home = '/'] = line.trim().split(':');
    return { name, uid: Number(uid), gid: Number(gid), home };
  } catch {
    return null;
  }
};

const entryOf = (account: string | Account): Entry => {
  const found = lookUp(typeof account === 'string' ? account : String(account.uid));
  if (typeof account !== 'string') return { ...account, name: account.name ?? found?.name ?? null, home: found?.home ?? '/' };
  if (found === null) throw new Error(`there is no account "${account}" on this system`);
  return found;
};

/** Groups first: afterwards it would not be allowed. Checked, since this must not half succeed. */
const take = ({ uid, gid, name }: Entry): void => {
  if (name === null) process.setgroups?.([gid]);
  else (process as NodeJS.Process & { initgroups(user: string, group: number): void }).initgroups(name, gid);
  process.setgid?.(gid);
  process.setuid?.(uid);
  if (process.getuid?.() !== uid || process.geteuid?.() !== uid || process.getgid?.() !== gid)
    throw new Error(`the account with the number ${uid} could not be taken`);
};

/** Null: the account stays. For good: there is no way back. */
export const becomeAccount = (account: string | Account | null): void => {
  if (account === null) return;
  const entry = entryOf(account);
  const own = process.geteuid?.();
  if (own !== 0 && own !== entry.uid)
    throw new Error(`felhom-quiesced does not run as root here, so it cannot act as ${entry.name ?? `user ${entry.uid}`}`);
  if (own === 0 && entry.uid !== 0) take(entry);
  // Commands and drivers look there.
  process.env.HOME = entry.home;
  if (entry.name !== null) Object.assign(process.env, { USER: entry.name, LOGNAME: entry.name });
};
