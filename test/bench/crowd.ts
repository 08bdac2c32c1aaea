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

/** Every guest asks once in `everyMs`, whether a backup is due unless told another path; how long each answer took. */
export const poll = async (
  { host, guests, poller }: Crowd,
  everyMs: number,
  countMs: number,
  path = '/backup/due',
): Promise<number[]> => {
  const requests = guests.map(({ token = '' }) => requestBytes(path, token));
  const job = { port: host.address.port, requests, everyMs, countMs };
  return (await ask<PollJob, PollResult>(poller, job)).samples;
};

/** Guests that cannot start a backup fail the measure after this: longer than an offer to another one lasts. */
const START_WITHIN_MS = 200_000;

/** False while the slot is another guest's, or its target was just found missing. */
const tryStart = async (guest: Address): Promise<boolean> => {
  const { status, json } = await call(guest, 'POST', '/backup', {});
  if (status !== 202 && status !== 409) throw new Error(`no backup was started: ${json.error} (${json.code})`);
  return status === 202;
};

/** One of them has its backup started; answers which. */
export const startOneOf = async (guests: Iterable<Address>): Promise<Address> => {
  const deadline = performance.now() + START_WITHIN_MS;
  while (performance.now() < deadline) {
    for (const guest of guests) if (await tryStart(guest)) return guest;
    await pause(200);
  }
  throw new Error(`no guest could start a backup within ${START_WITHIN_MS / 1000} s`);
};

export const backupEnded = async (guest: Address): Promise<void> => {
  for (let revision = ''; ; ) {
    const status = await get(guest, `/backup/status?wait=8&after=${encodeURIComponent(revision)}`);
    if (status.phase === 'done') return;
    if (status.phase === 'failed') throw new Error(`a backup failed: ${status.error}`);
    revision = status.revision;
  }
};

/** A backup of each that has none, one after the other. */
export const backUpAll = async ({ guests }: Crowd): Promise<void> => {
  const waiting = new Set<Address>();
  for (const guest of guests) if ((await get(guest, '/backup/status')).phase === 'idle') waiting.add(guest);
  while (waiting.size > 0) {
    const guest = await startOneOf(waiting);
    await backupEnded(guest);
    waiting.delete(guest);
  }
};

/** Until the agent has read the newest archive of each to its end: one after the other, with pauses. */
export const untilAllVerified = async ({ guests }: Crowd, timeoutMs: number): Promise<void> => {
  const deadline = performance.now() + timeoutMs;
  const waiting = new Set<Address>(guests);
  while (waiting.size > 0) {
    if (performance.now() > deadline) throw new Error(`the archives of ${waiting.size} guests were not read`);
    for (const guest of waiting) {
      const { backups } = await get(guest, '/backups');
      if (backups[0]?.verification !== 'pending') waiting.delete(guest);
      else break;
    }
    await pause(1000);
  }
};
