/** What a measure has started and must be gone when it ends, however it ends: processes, servers, directories. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Scope {
  /** Undone in reverse order. */
  defer(undo: () => unknown): void;
  /** A directory of its own, removed at the end. */
  directory(): string;
  dispose(): Promise<void>;
}

const attempt = async (undo: () => unknown): Promise<void> => {
  try {
    await undo();
  } catch {
    // One that fails keeps no other from being undone.
  }
};

export const createScope = (): Scope => {
  const undos: (() => unknown)[] = [];
  let disposed = false;
  const scope: Scope = {
    defer: (undo) => {
      // Started while a signal ends everything: undone at once.
      if (disposed) void attempt(undo);
      else undos.push(undo);
    },
    directory: () => {
      const dir = mkdtempSync(join(tmpdir(), 'felhom-bench-'));
      scope.defer(() => rmSync(dir, { recursive: true, force: true }));
      return dir;
    },
    dispose: async () => {
      disposed = true;
      for (let undo = undos.pop(); undo; undo = undos.pop()) await attempt(undo);
    },
  };
  return scope;
};
