/** A session in a process of its own, under the account that the adapter takes: what a child of felhom-quiesced is, and no more. */
import { readFileSync } from 'node:fs';
import { becomeAccount } from '#controller/quiesced/account';
import type { Adapter, Session } from '#controller/quiesced/adapters/adapter';
import { ADAPTERS } from '#controller/quiesced/adapters/table';
import type { QuiesceApp } from '#shared/quiesce/config';

const [config = '', password] = process.argv.slice(2);
const app = JSON.parse(config) as QuiesceApp;
const adapter = (await ADAPTERS[app.adapter]()) as unknown as Adapter<QuiesceApp['adapter']>;

const start = async (): Promise<Session> => {
  becomeAccount(app.user === '' ? await adapter.account(app as never) : app.user);
  const run = () => Promise.reject(new Error('this one runs no program'));
  return adapter.open(app as never, { run, monotonic: () => performance.now(), password: password ?? null });
};
const session = start();
session.catch(() => undefined);

type Call = (...args: never[]) => unknown;
const others: Record<string, Call> = {
  /** What the process must never do to a file of SQLite. */
  read: (path: string) => readFileSync(path).length,
};

process.on('message', ({ id, call, args }: { id: number; call: string; args: never[] }) => {
  const act = async () => {
    const found = others[call] ?? ((await session)[call as keyof Session] as Call);
    return found(...args);
  };
  act().then(
    (value) => process.send?.({ id, value: value ?? null }),
    (error: Error) => process.send?.({ id, error: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));
