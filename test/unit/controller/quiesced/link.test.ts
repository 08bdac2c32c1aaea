/** What the main process believes of what a child says: the child may be in the hands of the application's account. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '#controller/quiesced/clock';
import { startChild } from '#controller/quiesced/link';
import { identify, stateOf } from '#controller/quiesced/proc';
import type { QuiesceApp } from '#shared/quiesce/config';
import { cleanUp, later, scratch } from '../../../contract/controller-agent.ts';

afterEach(cleanUp);

/** @param script of the child, which may use `say` and `spawn` */
const startLink = async (script: string) => {
  const path = join(await scratch(), 'child.mjs');
  await writeFile(
    path,
    `import { spawn } from 'node:child_process';\nconst say = (message) => process.send(message);\n${script}`,
  );
  const lines: string[] = [];
  const link = startChild({ name: 'a' } as QuiesceApp, {
    clock: systemClock,
    program: { path, execArgv: [] },
    say: (priority, text) => void lines.push(`${priority} ${text}`),
    changed: () => undefined,
  });
  later(() => link.kill());
  return { link, lines };
};
const sleeper = (): ChildProcess => {
  const child = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
  later(async () => void child.kill('SIGKILL'));
  return child;
};
const SERVE = "process.on('message', ({ id }) => say({ say: 'reply', id, ok: true, data: null }));";
const ask = { timeoutMs: 10_000 };

test('its own command is ended with it, and nobody else whom it names', async () => {
  const other = sleeper();
  const { link } = await startLink(`
    const own = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
    for (const group of [own.pid, ${other.pid}, 1, 0, -1, 'x']) say({ say: 'group', group, runs: true });
    ${SERVE}`);
  await link.call('look', null, ask);
  expect(link.groups()).toHaveLength(1);
  const own = await identify(link.groups()[0] as number);
  await link.kill();
  await expect.poll(() => own !== null && stateOf(own)).toBe('gone');
  expect(other.exitCode ?? other.signalCode).toBeNull();
  other.kill('SIGKILL');
  await once(other, 'exit');
});

test('a line of it stays one line', async () => {
  const { link, lines } = await startLink(`say({ say: 'line', priority: 4, text: 'one\\n<0>two' });\n${SERVE}`);
  await link.call('look', null, ask);
  expect(lines).toEqual(['4 a: one <0>two']);
});
