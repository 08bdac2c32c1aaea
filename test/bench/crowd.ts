/** A node with fifty enrolled guests that poll as their controllers would. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { askAdmin } from '../contract/admin-socket.ts';
import { type Address, call, get } from '../stranger/client.ts';
import { ask, startChild } from './children.ts';
import { adminSocket, type BenchHost, startHost } from './host.ts';
import type { PollJob, PollResult } from './poll.ts';
import type { Scope } from './scope.ts';
import { requestBytes } from './servers.ts';

export const GUESTS = 50;

export interface Crowd {
  host: BenchHost;
  guests: Address[];
  poller: ChildProcess;
}

export const startCrowd = async (scope: Scope): Promise<Crowd> => {
  const vmids = Array.from({ length: GUESTS }, (_, index) => 101 + index);
  const host = await startHost(scope, { vmids });
  const guests = [host.address];
  for (const vmid of vmids.slice(1)) {
    const { bootstrap } = await askAdmin(adminSocket(host), 'POST', `/guests/${vmid}/enroll`);
    guests.push({ ...host.address, token: bootstrap.token });
  }
  return { host, guests, poller: startChild(scope, 'poll') };
};

/** Every guest asks whether a backup is due, once in `everyMs`; how long each answer took. */
export const pollDue = async ({ host, guests, poller }: Crowd, everyMs: number, countMs: number): Promise<number[]> => {
  const requests = guests.map(({ token = '' }) => requestBytes('/backup/due', token));
  const job = { port: host.address.port, requests, everyMs, countMs };
  return (await ask<PollJob, PollResult>(poller, job)).samples;
};

/** A guest that is never offered a backup fails the measure after this. */
const TURN_WITHIN_MS = 60_000;

export const startBackup = async (guest: Address): Promise<void> => {
  const { status, json } = await call(guest, 'POST', '/backup', {});
  if (status !== 202) throw new Error(`no backup was started: ${json.error} (${json.code})`);
};

export const backupEnded = async (guest: Address): Promise<void> => {
  for (let revision = ''; ; ) {
    const status = await get(guest, `/backup/status?wait=8&after=${encodeURIComponent(revision)}`);
    if (status.phase === 'done') return;
    if (status.phase === 'failed') throw new Error(`a backup failed: ${status.error}`);
    revision = status.revision;
  }
};

/** Whose turn it is, by the agent's own order. */
const whoseTurn = async (guests: readonly Address[]): Promise<Address> => {
  const deadline = performance.now() + TURN_WITHIN_MS;
  for (;;) {
    let reason = '';
    for (const guest of guests) {
      const answer = await get(guest, '/backup/due');
      if (answer.due) return guest;
      reason = answer.reason;
    }
    if (performance.now() > deadline) throw new Error(`no guest is offered a backup: ${reason}`);
    await pause(200);
  }
};

/** A backup of each that has none, one after the other. */
export const backUpAll = async ({ guests }: Crowd): Promise<void> => {
  const waiting = new Set<Address>();
  for (const guest of guests) if ((await get(guest, '/backup/status')).phase === 'idle') waiting.add(guest);
  while (waiting.size > 0) {
    const guest = await whoseTurn([...waiting]);
    await startBackup(guest);
    await backupEnded(guest);
    waiting.delete(guest);
  }
};
