/** The mounts of this guest. */
import { readFile } from 'node:fs/promises';
import { type Mount, parseMountinfo } from '#shared/mountinfo';

/** Empty where they cannot be read: then nothing can be joined, and nothing is claimed. */
export const readMounts = async (file: string): Promise<Mount[]> => parseMountinfo(await readFile(file, 'utf8').catch(() => ''));
