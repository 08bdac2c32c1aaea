/** The bench's own child programs: the load generator and the bare server. They speak over Node's IPC channel and end with it. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stop } from '../demo/processes.ts';
import type { Scope } from './scope.ts';

/** The program beside this file, compiled or not, as this one is. */
const beside = (path: string): string => {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`${path}.${extension}`, import.meta.url));
};

export const startChild = (scope: Scope, path: string, nodeFlags: readonly string[] = []): ChildProcess => {
  const child = fork(beside(path), [], {
    execArgv: [...process.execArgv, ...nodeFlags],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  scope.defer(() => stop(child, 2_000));
  return child;
};

/** Sends a question and waits for the one answer to it. */
export const ask = <Question extends object, Answer>(child: ChildProcess, question: Question): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const gone = (status: number | null) => reject(new Error(`a child program of the bench ended (status ${status})`));
    child.once('exit', gone);
    child.once('message', (answer: Answer | { failed: string }) => {
      child.off('exit', gone);
      if (typeof answer === 'object' && answer !== null && 'failed' in answer) reject(new Error(answer.failed));
      else resolve(answer as Answer);
    });
    child.send(question);
  });

/** The other side: every question gets one answer; the program ends when its parent has gone. */
export const answerQuestions = <Question, Answer>(answer: (question: Question) => Promise<Answer>): void => {
  process.on('message', (question: Question) => {
    answer(question).then(
      (given) => process.send?.(given),
      (error: unknown) => process.send?.({ failed: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.once('disconnect', () => process.exit());
  // A Ctrl-C reaches the whole foreground group; the parent ends this one in its order.
  process.on('SIGINT', () => {});
};
