/** The main process's end of a child: calls with a deadline, its commands' groups, and its end whatever state it is in. */
import { type ChildProcess, fork } from 'node:child_process';
import { type Clock, waitAtMost } from '#shared/clock';
import { afterAwake } from '#shared/quiesce/awake';
import type { QuiesceApp } from '#shared/quiesce/config';
import { plainText } from '#shared/quiesce/plain-text';
import type { Call, Calls, FromChild } from './ipc.ts';
import type { Say } from './log.ts';
import { killGroup, leadsGroupUnder } from './proc.ts';

/** It says so itself: the application answered, with a refusal. Any other error means the child is of no use any more. */
export class AppSays extends Error {
  override readonly name = 'AppSays';
}

export interface CallLimits {
  timeoutMs: number;
  /** The child is given up when nothing is heard of it for so long. */
  silenceMs?: number;
}

export interface ChildLink {
  pid: number;
  /** Rejects with AppSays, or because the child ended, or did not answer: then it is being killed. */
  call<C extends Call>(call: C, data: Calls[C]['data'], limits: CallLimits): Promise<Calls[C]['reply']>;
  /** The groups of its commands that run now. */
  groups(): number[];
  /** Resolves when it has ended, for whatever reason. */
  gone: Promise<void>;
  /** Lets it close what is open and end; killed when it does not. */
  end(): Promise<void>;
  /** Returns when it has ended: locks of its connections fall then. Left behind where it cannot be ended (D state). */
  kill(): Promise<void>;
}

export interface LinkPorts {
  clock: Clock;
  /** The child's program, and how Node is told to run it. */
  program: { path: string; execArgv: string[] };
  say: Say;
  /** Its processes have changed. */
  changed: () => void;
}

const END_MS = 2000;
const LEFT_BEHIND_MS = 10_000;

const seconds = (ms: number): string => `${ms < 1000 ? ms / 1000 : Math.round(ms / 100) / 10} s`;

const start = ({ path, execArgv }: LinkPorts['program'], name: string): ChildProcess =>
  // Detached: a process group of its own. It reports what goes wrong; its standard error only shows how it crashed. The name is
  // for whoever looks at the list of processes.
  fork(path, [name], { detached: true, execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });

interface Waiting {
  resolve(data: unknown): void;
  reject(error: Error): void;
  heard(): void;
}

export const startChild = (app: QuiesceApp, { clock, program, say, changed }: LinkPorts): ChildLink => {
  const child = start(program, app.name);
  const waiting = new Map<number, Waiting>();
  const groups = new Set<number>();
  let lastId = 0;
  let ended: Error | null = null;
  /** Nothing is asked of it any more. */
  let useless: Error | null = null;

  const gone = new Promise<void>((resolve) => {
    const settle = (error: Error) => {
      if (ended !== null) return;
      ended = error;
      useless ??= error;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
      resolve();
      changed();
    };
    child.once('exit', (code, signal) => settle(new Error(`its process ended (${signal ?? `status ${code}`})`)));
    child.on('error', (error) => child.pid === undefined && settle(error));
  });

  child.on('message', (message: FromChild) => {
    for (const { heard } of waiting.values()) heard();
    if (message.say === 'line') say(message.priority, `${app.name}: ${plainText(message.text)}`);
    if (message.say === 'group') {
      // The child has another account than we: nobody's processes but its own are ended on its word.
      if (!message.runs) groups.delete(message.group);
      else if (leadsGroupUnder(message.group, child.pid ?? 0)) groups.add(message.group);
      changed();
    }
    if (message.say !== 'reply') return;
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.ok) asked?.resolve(message.data);
    else asked?.reject(new AppSays(message.error));
  });

  const kill = async (): Promise<void> => {
    useless ??= new Error('its process is being ended');
    for (const group of groups) killGroup(group);
    if (child.pid !== undefined && ended === null) killGroup(child.pid);
    await waitAtMost(clock, LEFT_BEHIND_MS, gone);
  };

  const call = <C extends Call>(name: C, data: Calls[C]['data'], { timeoutMs, silenceMs }: CallLimits) =>
    new Promise<Calls[C]['reply']>((resolve, reject) => {
      if (useless !== null) return reject(useless);
      const id = ++lastId;
      const giveUp = (why: string) => {
        waiting.delete(id);
        cancelTotal();
        cancelSilence();
        reject(new Error(why));
        void kill();
      };
      const cancelTotal = afterAwake(clock, timeoutMs, () => giveUp(`it took longer than ${seconds(timeoutMs)}`));
      const listen = () =>
        silenceMs === undefined ? () => undefined : afterAwake(clock, silenceMs, () => giveUp('its process does not answer'));
      let cancelSilence = listen();
      const settled =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          cancelTotal();
          cancelSilence();
          then(value);
        };
      waiting.set(id, {
        resolve: settled(resolve as (data: unknown) => void),
        reject: settled(reject),
        heard: () => {
          cancelSilence();
          cancelSilence = listen();
        },
      });
      child.send({ id, call: name, data }, () => undefined);
    });

  const end = async (): Promise<void> => {
    if (useless !== null) return void (await waitAtMost(clock, LEFT_BEHIND_MS, gone));
    await call('end', null, { timeoutMs: END_MS }).catch(() => undefined);
    await waitAtMost(clock, END_MS, gone);
    if (ended === null) await kill();
  };

  changed();
  return { pid: child.pid ?? 0, call, groups: () => [...groups], gone, end, kill };
};
