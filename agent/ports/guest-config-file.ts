/**
 * A guest's configuration file below Proxmox's configuration directory: read, and changed as Proxmox itself changes it, under its own
 * lock and whole or not at all. Needed for the raw lines of LXC, which no call of the API sets.
 */
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createTurn, type InTurn } from '../turn.ts';
import type { WithLock } from './file-lock.ts';
import { assertPmxcfs } from './pmxcfs.ts';
import type { GuestConfigFile } from './proxmox-files.ts';

export interface GuestConfigFiles {
  /** Null: this node has no guest of that number. Rejects where that cannot be told. */
  read(vmid: number): Promise<GuestConfigFile | null>;
  /** Every guest of this node. */
  all(): Promise<GuestConfigFile[]>;
  /**
   * Writes what `change` makes of a container's file, if that differs; each byte is one character of what it is given (Latin-1), so
   * that whatever it leaves alone stays as it is. What `change` throws is passed on, and nothing is written then, nor where somebody
   * changed the file meanwhile without the lock. @returns whether something was written
   */
  changeContainer(vmid: number, change: (text: string) => string): Promise<boolean>;
}

export interface GuestConfigFilePorts {
  /** `/etc/pve` */
  configDir: string;
  withLock: WithLock;
  /** pve-container:src/PVE/LXC/Config.pm, config_file_lock. */
  lockDir?: string;
}

const FOLDERS = { lxc: 'lxc', qemu: 'qemu-server' } as const satisfies Record<GuestConfigFile['type'], string>;
const KINDS = ['lxc', 'qemu'] as const;
type Kind = (typeof KINDS)[number];

/** pmxcfs is a FUSE program: when it hangs, whoever asked hears so. What was under way ends by itself, or never. */
const READ_MS = 5_000;
/** The lock's own patience comes on top. */
const CHANGE_MS = 20_000;

const notInTime = (ms: number): Error => new Error(`Proxmox's configuration directory did not answer within ${ms} ms.`);

const within = async <T>(ms: number, doing: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(notInTime(ms)), ms);
  });
  return Promise.race([doing, late]).finally(() => clearTimeout(timer));
};

/**
 * What hangs holds one of Node's four threads for files until it ends: one after the other, and nothing more is begun while one that was
 * given up has not ended.
 */
const createReadings = (inTurn: InTurn) => {
  let lost = 0;
  return async <T>(read: () => Promise<T>): Promise<T> => {
    if (lost > 0) throw notInTime(READ_MS);
    let state: 'waited for' | 'given up' | 'ended' = 'waited for';
    const doing = inTurn(() => (state === 'waited for' ? read() : Promise.reject(notInTime(READ_MS))));
    const ended = (): void => {
      if (state === 'given up') lost -= 1;
      state = 'ended';
    };
    doing.then(ended, ended);
    return within(READ_MS, doing).finally(() => {
      if (state === 'ended') return;
      state = 'given up';
      lost += 1;
    });
  };
};

const orWhereAbsent = async <T>(reading: Promise<T>, absent: T): Promise<T> => {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return absent;
    throw error;
  }
};

/** Beside the file, under a name that Proxmox takes for no guest's; renamed over it, as Proxmox does (pve-common, file_set_contents). */
const replace = async (file: string, text: string): Promise<void> => {
  const beside = `${file}.tmp.felhom`;
  const { mode } = await stat(file);
  await rm(beside, { force: true });
  try {
    const handle = await open(beside, 'wx', mode & 0o777);
    try {
      // pmxcfs gives every file the mode that it must have; elsewhere our umask may have narrowed it.
      if ((await handle.stat()).mode !== mode) await handle.chmod(mode & 0o777);
      await handle.writeFile(text, 'latin1');
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw error;
  }
};

export const createGuestConfigFiles = (ports: GuestConfigFilePorts): GuestConfigFiles => {
  const { configDir, withLock, lockDir = '/run/lock/lxc' } = ports;
  const inTurn = createTurn();
  const reading = createReadings(inTurn);
  /** Where this node's are. Rejects while Proxmox's directory is not there: what is empty then means nothing. */
  const folders = async (): Promise<(type: Kind) => string> => {
    const node = await assertPmxcfs(configDir);
    return (type) => join(configDir, 'nodes', node, FOLDERS[type]);
  };

  const textOf = (folder: string, vmid: number): Promise<string | null> =>
    orWhereAbsent<string | null>(readFile(join(folder, `${vmid}.conf`), 'utf8'), null);

  const read = async (vmid: number): Promise<GuestConfigFile | null> => {
    const folderOf = await folders();
    for (const type of KINDS) {
      const text = await textOf(folderOf(type), vmid);
      if (text !== null) return { vmid, type, text };
    }
    return null;
  };

  const all = async (): Promise<GuestConfigFile[]> => {
    const folderOf = await folders();
    const found: GuestConfigFile[] = [];
    for (const type of KINDS) {
      for (const name of (await orWhereAbsent(readdir(folderOf(type)), [])).sort()) {
        const vmid = Number(/^([1-9]\d{2,8})\.conf$/.exec(name)?.[1] ?? 0);
        const text = vmid === 0 ? null : await textOf(folderOf(type), vmid);
        if (text !== null) found.push({ vmid, type, text });
      }
    }
    return found;
  };

  const changeNow = async (vmid: number, change: (text: string) => string): Promise<boolean> => {
    const file = join((await folders())('lxc'), `${vmid}.conf`);
    const before = await readFile(file, 'latin1');
    const after = change(before);
    if (after === before) return false;
    if ((await readFile(file, 'latin1')) !== before)
      throw new Error(`${file} was changed by somebody who does not take Proxmox's lock; nothing was written.`);
    await replace(file, after);
    return true;
  };

  const changeContainer = (vmid: number, change: (text: string) => string): Promise<boolean> =>
    withLock(join(lockDir, `pve-config-${vmid}.lock`), () => inTurn(() => changeNow(vmid, change)));

  return {
    read: (vmid) => reading(() => read(vmid)),
    all: () => reading(all),
    changeContainer: (vmid, change) => within(CHANGE_MS, changeContainer(vmid, change)),
  };
};
