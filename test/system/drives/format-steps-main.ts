/**
 * drive-format, stopped by a test before any of its steps: it waits there while `stop-<phase>` is in the directory that its first argument
 * names, and says so by `at-<phase>`.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '#agent/drive-format/course';
import type { FormatOrder } from '#agent/drive-format/protocol';

const [, , directory = '', order = ''] = process.argv;

await run(JSON.parse(order) as FormatOrder, async (phase) => {
  const stop = join(directory, `stop-${phase}`);
  if (!existsSync(stop)) return;
  writeFileSync(join(directory, `at-${phase}`), '');
  while (existsSync(stop)) await pause(5);
});
