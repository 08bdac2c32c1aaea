/** The child of one application: a program of its own, in a process group of its own. When the main process has gone, it lets go. */
import { writeFileSync } from 'node:fs';
import type { QuiesceApp } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import { becomeAccount } from './account.ts';
import type { Adapter, Session } from './adapters/adapter.ts';
import { ADAPTERS } from './adapters/table.ts';
import { systemClock } from './clock.ts';
import { commandRunner } from './command.ts';
import { createHeldApp, type HeldApp } from './held-app.ts';
import type { FromChild, ToChild } from './ipc.ts';
import { readPassword } from './password.ts';

/** Never throws: without a main process nobody listens. */
const tell = (message: FromChild): void => {
  if (process.connected) process.send?.(message, undefined, {}, () => undefined);
};

let session: Session | null = null;
let held: HeldApp | null = null;

/** The unit's protection against the memory killer is not for what a command leaves running. proc_pid_oom_score_adj(5) */
const beOrdinary = (): void => {
  try {
    writeFileSync('/proc/self/oom_score_adj', '0');
  } catch {
    // Not lower than it was given, so nothing is lost.
  }
};

const open = async (app: QuiesceApp): Promise<void> => {
  if (app.adapter === 'command') beOrdinary();
  const adapter = (await ADAPTERS[app.adapter]()) as Adapter<QuiesceApp['adapter']>;
  const password = await readPassword(app);
  becomeAccount(app.user !== '' ? app.user : await adapter.account(app));
  const run = commandRunner(systemClock, (group, runs) => tell({ say: 'group', group, runs }));
  session = await adapter.open(app, { run, monotonic: systemClock.monotonic, password });
  held = createHeldApp(session, systemClock, tell);
};

const end = async (): Promise<void> => {
  await session?.close().catch(() => undefined);
};

const opened = (): HeldApp => {
  if (held === null) throw new Error('it was not opened');
  return held;
};

const answer = (message: ToChild): Promise<unknown> => {
  switch (message.call) {
    case 'open':
      return open(message.data);
    case 'prepare':
      return opened().prepare();
    case 'look':
      return opened().look();
    case 'hold':
      return opened().hold(message.data.state, message.data.left_ms);
    case 'check':
      return opened().check();
    case 'release':
      return opened().release(message.data.state);
    case 'end':
      return end();
  }
};

process.on('message', (message: ToChild) => {
  void (async () => {
    try {
      tell({ say: 'reply', id: message.id, ok: true, data: (await answer(message)) ?? null });
    } catch (error) {
      tell({ say: 'reply', id: message.id, ok: false, error: errorText(error) });
    }
    if (message.call === 'end') process.exit(0);
  })();
});

process.on('disconnect', () => {
  void (held?.letGoAlone('felhom-quiesced has gone') ?? Promise.resolve()).then(end).finally(() => process.exit(0));
});

// The whole unit is asked to stop: the main process leads, and a child that ended first would let nothing go. And SIGUSR1, which the
// application's account may send, would have Node open its debugger to everybody on this machine.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => undefined);
