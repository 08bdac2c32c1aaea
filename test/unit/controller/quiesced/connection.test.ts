/** A connection of felhom-quiesced that nobody uses any more. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Attempt } from '#controller/quiesced/attempt';
import { SILENT_MS, serveConnection } from '#controller/quiesced/connection';
import type { Keeper } from '#controller/quiesced/keeper';
import { manualClock } from '../manual-clock.ts';

/** A client whose attempt has begun; `ended` is called when that attempt ends. */
const begun = async () => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-connection-'));
  const clock = manualClock();
  const seen = { ended: 0 };
  const attempt = {
    prepare: async () => ({ apps: [] }),
    end: async () => {
      seen.ended += 1;
    },
  } as unknown as Attempt;
  const keeper = { begin: async () => attempt } as unknown as Keeper;
  const served: Promise<void>[] = [];
  const server = createServer((socket) => served.push(serveConnection(socket, keeper, () => undefined, clock)));
  server.listen(join(dir, 'socket'));
  await once(server, 'listening');
  const client = connect(join(dir, 'socket'));
  onTestFinished(() => {
    client.destroy();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const ask = async () => {
    client.write('{"id":1,"verb":"prepare","apps":[],"within_ms":1000}\n');
    await once(client, 'data');
  };
  await ask();
  return { clock, seen, ask, served };
};

test('one that stands still in mid-attempt is ended, so that the next backup has its turn', async () => {
  const { clock, seen, served } = await begun();
  await clock.advance(SILENT_MS - 1);
  expect(seen.ended).toBe(0);
  await clock.advance(1);
  await Promise.all(served);
  expect(seen.ended).toBe(1);
});

test('one that is used stays', async () => {
  const { clock, seen, ask } = await begun();
  await clock.advance(SILENT_MS - 1);
  await ask();
  await clock.advance(SILENT_MS - 1);
  expect(seen.ended).toBe(0);
});
