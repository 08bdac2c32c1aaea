/** `hold.json`: on disk, flushed, before the first application is held; gone only when all are back. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Type } from 'typebox';
import { Check } from 'typebox/schema';
import { timestamp } from '#shared/ids';
import { readText, removeFile, replaceFile } from './files.ts';

/** What a start finds: nothing; the applications that may still be held; or a marker that says no names, which means all. */
export type OpenHold = { kind: 'none' } | { kind: 'apps'; apps: string[] } | { kind: 'unreadable' };

export interface Marker {
  read(): Promise<OpenHold>;
  /** Returns once it is durable; throws where it cannot be. */
  write(apps: readonly string[]): Promise<void>;
  remove(): Promise<void>;
}

const Hold = Type.Object({ id: Type.String(), started_at: Type.String(), apps: Type.Array(Type.String(), { minItems: 1 }) });

const parse = (text: string): OpenHold => {
  try {
    const value: unknown = JSON.parse(text);
    return Check(Hold, value) ? { kind: 'apps', apps: [...new Set(value.apps)] } : { kind: 'unreadable' };
  } catch {
    return { kind: 'unreadable' };
  }
};

export const markerFile = (stateDir: string): Marker => {
  const path = join(stateDir, 'hold.json');
  return {
    read: async () => {
      try {
        const text = await readText(path);
        return text === null ? { kind: 'none' } : parse(text);
      } catch {
        return { kind: 'unreadable' };
      }
    },
    write: (apps) => replaceFile(path, `${JSON.stringify({ id: randomUUID(), started_at: timestamp(Date.now()), apps })}\n`),
    remove: () => removeFile(path),
  };
};
