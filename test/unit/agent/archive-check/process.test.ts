/** The check as the agent starts it: a process of its own at idle priority, which can be stopped with all that it started. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { createArchiveCheck } from '#agent/ports/archive-check';
import { systemClock } from '#agent/ports/clock';
import { createWorkshop, flipBit, hasZstd, noise } from './make.ts';

const workshop = createWorkshop();
afterAll(() => workshop.remove());

const { check } = createArchiveCheck({ clock: systemClock });
const never = new AbortController().signal;
const format = hasZstd ? 'tar.zst' : 'tar.gz';
const whole = workshop.compress(workshop.tar('a.tar', '--sparse'), hasZstd ? 'zst' : 'gz');

test('a whole archive', async () => {
  expect(await check(whole, format, never)).toMatchObject({ verdict: 'whole', error: '' });
});

test.each([
  ['truncated', (data: Buffer) => data.subarray(0, data.length - 1000)],
  ['with one bit flipped', (data: Buffer) => flipBit(data, data.length >> 1, 3)],
  ['empty', () => Buffer.alloc(0)],
  ['with something behind it', (data: Buffer) => Buffer.concat([data, noise(100)])],
])('an archive that is %s', async (_what, change) => {
  expect(await check(workshop.altered(whole, change), format, never)).toMatchObject({ verdict: 'damaged' });
});

test('an archive of a virtual machine', async () => {
  const vma = await workshop.vma('b.vma');
  expect(await check(vma, 'vma', never)).toMatchObject({ verdict: 'whole', members: 2 });
  const cut = workshop.altered(vma, (data) => data.subarray(0, data.length - 4096));
  expect(await check(cut, 'vma', never)).toMatchObject({ verdict: 'damaged' });
});

test('an archive that is not there, or that nobody can read, says nothing', async () => {
  expect(await check('/nowhere/x.tar', 'tar', never)).toMatchObject({ verdict: 'unreadable' });
  expect(await check(whole, 'pbs-ct', never)).toMatchObject({ verdict: 'unsupported' });
});

interface Process {
  pid: number;
  name: string;
  group: number;
  nice: number;
}

/** proc_pid_stat(5): behind the name in brackets come state, ppid, pgrp; nice is the 19th field. */
const processes = (): Process[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
        const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
        return fields[0] === 'Z' ? [] : [{ pid: Number(pid), name, group: Number(fields[2]), nice: Number(fields[16]) }];
      } catch {
        return [];
      }
    });

const groupOf = (path: string): Process[] => {
  const all = processes();
  const program = all.find(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path);
    } catch {
      return false;
    }
  });
  return program === undefined ? [] : all.filter(({ group }) => group === program.group);
};

const until = async <T>(read: () => T, done: (value: T) => boolean, ms = 10_000): Promise<T> => {
  for (let tries = 0; tries < ms / 50 && !done(read()); tries += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  return read();
};

/** Thirty GiB of zeros, in pieces that gzip takes as one file. */
const endless = (name: string): string => {
  const piece = gzipSync(Buffer.alloc(64 * 1024 ** 2), { level: 1 });
  return workshop.write(name, Buffer.concat(Array.from({ length: 500 }, () => piece)));
};

test('it yields to everything else, and an abort ends it with its decompressor', async () => {
  const stop = new AbortController();
  const path = endless('c.tar.gz');
  const result = check(path, 'tar.gz', stop.signal);
  const group = await until(
    () => groupOf(path),
    (found) => found.some(({ name }) => name === 'gzip'),
  );
  const gzip = group.find(({ name }) => name === 'gzip');
  expect(group.map(({ nice }) => nice)).toEqual(group.map(() => 19));
  expect(execFileSync('/usr/bin/ionice', ['-p', String(gzip?.pid)]).toString()).toContain('idle');
  stop.abort();
  expect(await result).toMatchObject({ verdict: 'unreadable', detail: 'stopped' });
  const left = await until(
    () => processes().filter(({ group: one }) => one === gzip?.group),
    (found) => found.length === 0,
    2000,
  );
  expect(left).toEqual([]);
});

test('a check that reads nothing for too long is given up', async () => {
  const hasty = createArchiveCheck({ clock: systemClock, stallMs: 20 });
  const path = endless('d.tar.gz');
  expect(await hasty.check(path, 'tar.gz', never)).toMatchObject({ verdict: 'unreadable' });
  await until(
    () => groupOf(path),
    (found) => found.length === 0,
  );
  expect(groupOf(path)).toEqual([]);
});

test('one that is stopped before it began is not started', async () => {
  expect(await check(whole, format, AbortSignal.abort())).toMatchObject({ verdict: 'unreadable' });
});
