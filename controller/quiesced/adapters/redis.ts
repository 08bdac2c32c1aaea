/**
 * Redis: a fresh dump, made beside its work by BGSAVE; where that does not do, CLIENT PAUSE lets writers wait, and readers go on.
 * The pause is the server's own: it survives us, and ends at its time even when nobody lets go. (By the server's wall clock: a
 * clock that is set back makes it longer, which is why it is always ended by CLIENT UNPAUSE as well.)
 * An ACL user for us needs: +info +bgsave +client|pause +client|unpause +acl|cat, and +config|get to tell where the data lies.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppOf } from '#shared/quiesce/config';
import type { Account, Adapter, Ready, Session, State, Tools } from './adapter.ts';
import { ErrorReply, NotThere, redisConnection, Silent } from './redis-connection.ts';
import { thatAre, watchFile, worksIn } from './redis-files.ts';
import { type Counters, countersOf, type Info, nothingWritten, parseInfo, refusal } from './redis-info.ts';

const ANSWER_MS = 10_000;
const CHECK_MS = 900;
const RELEASE_MS = 5000;
const POLL_MS = 50;
/** Of appendfsync everysec: it looks ten times a second whether a second has gone by. redis.conf, "appendfsync". */
const EVERY_SECOND_MS = 1200;

/** Accounts that Debian's packages make. */
const ACCOUNTS = ['redis', 'valkey'];

/** Whoever owns its socket; else the account of Debian's package; else nobody: a connection needs no rights here. */
const accountOf = async ({ host }: AppOf<'redis'>): Promise<string | Account> => {
  const socket = host.startsWith('/') ? await stat(host).catch(() => null) : null;
  if (socket !== null && socket.uid !== 0) return { uid: socket.uid, gid: socket.gid, name: null };
  const passwd = await readFile('/etc/passwd', 'utf8');
  return ACCOUNTS.find((name) => passwd.split('\n').some((line) => line.startsWith(`${name}:`))) ?? 'nobody';
};

/** What the server answers to a command that it does not run, as a sentence; any other error as it is. */
const refusedBecause = (what: string, error: unknown): unknown =>
  error instanceof ErrorReply ? new Error(`Redis refuses ${what}: ${error.message}`) : error;

interface Config {
  dir: string | null;
  dbfilename: string | null;
  appendfsync: string | null;
  appenddirname: string | null;
  appendfilename: string | null;
}

const sessionOf = (app: AppOf<'redis'>, { monotonic, password }: Tools): Session => {
  const connection = redisConnection(app, password);
  let closed = false;
  let letGo = false;
  /** Commands that may change data; PFCOUNT keeps its result in the key. */
  let writing: ReadonlySet<string> | null = null;
  let prepared: { runId: string; appendonly: boolean } | null = null;
  let held: Counters | null = null;
  /** The dump that we ordered is where we look for it. */
  let seesItsFiles = false;

  const info = async (ms = ANSWER_MS): Promise<Info> => {
    try {
      return parseInfo(String(await connection.ask(ms, 'INFO', 'all')));
    } catch (error) {
      throw refusedBecause('INFO', error);
    }
  };

  const writingCommands = async (): Promise<ReadonlySet<string>> => {
    try {
      const names = (await connection.ask(ANSWER_MS, 'ACL', 'CAT', 'write')) as string[];
      return new Set([...names.map((name) => name.toLowerCase()), 'pfcount']);
    } catch (error) {
      throw refusedBecause('ACL CAT, which tells the commands that write', error);
    }
  };

  /** Null: not told, or CONFIG is forbidden or renamed. */
  const setting = async (name: keyof Config): Promise<string | null> => {
    const reply = await connection.ask(ANSWER_MS, 'CONFIG', 'GET', name).catch((error: unknown) => {
      if (error instanceof ErrorReply) return [];
      throw error;
    });
    const value = (reply as unknown[])[1];
    return typeof value === 'string' && value !== '' ? value : null;
  };

  const poll = async (until: (found: Info) => boolean): Promise<Info> => {
    for (;;) {
      if (closed) throw new Error('given up');
      const found = await info();
      if (until(found)) return found;
      await sleep(POLL_MS);
    }
  };

  /** SAVE would stop it for as long as its dump takes. One dump or rewrite at a time: another one is waited for. */
  const dump = async (): Promise<void> => {
    for (;;) {
      await poll((found) =>
        ['loading', 'rdb_bgsave_in_progress', 'aof_rewrite_in_progress', 'aof_rewrite_scheduled'].every(
          (key) => found.countOr0(key) === 0,
        ),
      );
      try {
        await connection.ask(ANSWER_MS, 'BGSAVE');
        break;
      } catch (error) {
        if (!/in progress|child process/i.test((error as Error).message)) throw refusedBecause('BGSAVE', error);
      }
    }
    const after = await poll((found) => found.count('rdb_bgsave_in_progress') === 0);
    if (after.text('rdb_last_bgsave_status') !== 'ok')
      throw new Error('its BGSAVE failed: the log of Redis says why (most often there is no memory or no disk space left)');
  };

  /** Dumps, and looks whether the file that we would name has become another one meanwhile. */
  const dumpAndSee = async (): Promise<void> => {
    const [dir, file] = [await setting('dir'), await setting('dbfilename')];
    const path = dir === null || file === null ? null : join(dir, file);
    const isFresh = await watchFile(path);
    await dump();
    seesItsFiles = await isFresh();
  };

  const checkLog = (found: Info): void => {
    if (found.text('aof_last_write_status') !== 'ok')
      throw new Error('it cannot write its append-only file: the log of Redis says why (most often the disk is full)');
  };

  const prepare = async (): Promise<Ready> => {
    const no = refusal(await info());
    if (no !== null) throw new Error(no);
    writing = await writingCommands();
    await dumpAndSee();
    const found = await info();
    const appendonly = found.count('aof_enabled') === 1;
    if (appendonly) checkLog(found);
    prepared = { runId: found.text('run_id'), appendonly };
    return { kind: appendonly ? 'redis-aof' : 'redis-rdb', running: true };
  };

  /** What was acknowledged before the pause is on disk: appendfsync everysec takes its time. */
  const untilOnDisk = async (base: Counters, names: ReadonlySet<string>): Promise<void> => {
    const wait = (await setting('appendfsync')) === 'always' ? 0 : EVERY_SECOND_MS;
    const earliest = monotonic() + wait;
    await poll((found) => {
      if (letGo) throw new Error('it was let go before it was held');
      if (!nothingWritten(base, countersOf(found, names))) throw new Error('somebody else ended the pause: a write got in');
      checkLog(found);
      return monotonic() >= earliest && found.count('aof_buffer_length') === 0 && found.count('aof_pending_bio_fsync') === 0;
    });
  };

  const hold = async (state: State, leftMs: number): Promise<void> => {
    if (state === null) return;
    letGo = false;
    writing ??= await writingCommands();
    if ((await info()).text('run_id') !== state.run_id) throw new Error('Redis was restarted meanwhile');
    if (letGo) throw new Error('it was let go before it was held');
    await connection.ask(ANSWER_MS, 'CLIENT', 'PAUSE', String(Math.max(1, Math.ceil(leftMs))), 'WRITE').catch((error) => {
      throw refusedBecause('CLIENT PAUSE', error);
    });
    const found = await info();
    const base = countersOf(found, writing);
    if (found.count('aof_enabled') === 1) await untilOnDisk(base, writing);
    held = base;
  };

  /**
   * Nothing was written since the hold: that is what counts, and it shows a pause that somebody else ended. One that has come to
   * its own end still counts as long as no write followed, for the data is as it was.
   */
  const stillHeld = async (): Promise<boolean> => {
    const found = await info(CHECK_MS);
    if (held !== null && writing !== null) return nothingWritten(held, countersOf(found, writing));
    return (
      prepared !== null &&
      found.text('run_id') === prepared.runId &&
      (found.count('aof_enabled') === 1) === prepared.appendonly &&
      refusal(found) === null &&
      found.text('rdb_last_bgsave_status') === 'ok' &&
      (!prepared.appendonly || found.text('aof_last_write_status') === 'ok')
    );
  };

  /**
   * A command that counts as a write and changes nothing whatever there is: nothing is put at the beginning of a string. That it is
   * answered at all, be it by a refusal, shows that writers do not wait.
   */
  const tryToWrite = async (): Promise<void> => {
    try {
      await connection.ask(RELEASE_MS, 'SETRANGE', 'felhom-quiesced', '0', '');
    } catch (error) {
      if (error instanceof ErrorReply) return;
      if (!(error instanceof Silent)) throw error;
      // Behind a command that waits, this connection would wait too.
      connection.close();
      throw new Error('Redis has writers wait even after CLIENT UNPAUSE: somebody else paused it');
    }
  };

  const release = async (state: State): Promise<void> => {
    letGo = true;
    held = null;
    if (state === null) return;
    try {
      // A pause ends with its server: one that was started since has none of ours, and where nobody listens there is none.
      if ((await info(RELEASE_MS)).text('run_id') !== state.run_id) return;
      await connection.ask(RELEASE_MS, 'CLIENT', 'UNPAUSE');
      await tryToWrite();
    } catch (error) {
      if (!(error instanceof NotThere)) throw refusedBecause('CLIENT UNPAUSE', error);
    }
  };

  const whereDataLies = async (): Promise<string[] | null> => {
    const dir = await setting('dir');
    if (dir === null) return null;
    if (!seesItsFiles && !(await worksIn((await info()).count('process_id'), dir))) return null;
    // Redis 7 has its log in a directory, which may be a link to another disk; before it was one file.
    const log = (await setting('appenddirname')) ?? (await setting('appendfilename'));
    const paths = log === null ? [dir] : [dir, join(dir, log)];
    return thatAre(paths);
  };

  return {
    prepare,
    look: async () => ({ run_id: (await info()).text('run_id') }),
    hold,
    stillHeld,
    release,
    whereDataLies,
    close: async () => {
      closed = true;
      connection.close();
    },
  };
};

export const redis: Adapter<'redis'> = {
  account: accountOf,
  open: async (app, tools) => sessionOf(app, tools),
};
