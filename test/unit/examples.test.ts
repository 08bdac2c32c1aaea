/** The example files are accepted as they stand, and what they call a default is one. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseConfig } from '#agent/config';
import { loadConfig } from '#controller/config';
import { ADAPTER_NAMES, readQuiesce } from '#shared/quiesce/config';

const EXAMPLES = new URL('../../systemd/examples/', import.meta.url);
const example = (name: string): string => readFileSync(new URL(name, EXAMPLES), 'utf8');

const dir = mkdtempSync(join(tmpdir(), 'felhom-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const written = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

test('agent.yaml: every value but listen is what leaving it out gives', () => {
  const text = example('agent.yaml');
  const bare = stringify({ listen: parse(text).listen });
  expect(parseConfig(text)).toEqual(parseConfig(bare));
  expect(parseConfig(text)).toMatchObject({ ok: true });
});

test('agent.yaml names every key that the agent knows', () => {
  const refused = parseConfig(
    stringify({
      listen: [],
      no_such_key: 1,
      proxmox: { no_such_key: 1 },
      backup: { no_such_key: 1, retention: { no_such_key: 1 }, guests: { 101: { no_such_key: 1 } } },
      disks: { no_such_key: 1 },
      opsign: { no_such_key: 1 },
      limits: { no_such_key: 1 },
    }),
  );
  if (refused.ok) throw new Error('an unknown key was accepted');
  const text = example('agent.yaml');
  /** From the line of a top-level key to the next one. */
  const sectionOf = (path: string): string =>
    path.includes('.') ? (text.split(/^(?=\w+:)/m).find((part) => part.startsWith(`${path.split('.')[0]}:`)) ?? '') : text;
  const known = refused.problems.flatMap(({ path, sentence }) =>
    (/known here: (.*)$/.exec(sentence)?.[1]?.split(', ') ?? []).map((key) => ({ path, key })),
  );
  expect(known.length).toBeGreaterThan(38);
  for (const { path, key } of known) expect(sectionOf(path)).toMatch(new RegExp(`^[ #-]*(?:"101": \\{)?${key}:`, 'm'));
});

test('controller.yaml: every value is the default', async () => {
  const [shown, bare] = await Promise.all([
    loadConfig(written('shown.yaml', example('controller.yaml'))),
    loadConfig(written('bare.yaml', '')),
  ]);
  expect(shown).toEqual(bare);
});

/** Every key that a refusal calls known. */
const knownTo = (entry: object): string[] => {
  const refused = readQuiesce({ apps: [{ ...entry, no_such_key: 1 }] });
  if (refused.ok) throw new Error('an unknown key was accepted');
  return refused.problems.flatMap(({ sentence }) => /known here: (.*)$/.exec(sentence)?.[1]?.split(', ') ?? []);
};

describe('quiesce.yaml', () => {
  const text = example('quiesce.yaml');
  const shown = parse(text);
  /** The text of one entry, with its comments. */
  const entryOf = (adapter: string): string =>
    text.split(/^(?= {2}- )/m).find((entry) => entry.includes(`adapter: ${adapter}\n`)) ?? '';

  test('is accepted as it stands, with one application of each adapter', () => {
    expect(readQuiesce(shown)).toMatchObject({ ok: true, settings: { hold_max: 60_000 } });
    expect(shown.apps.map(({ adapter }: { adapter: string }) => adapter)).toEqual(ADAPTER_NAMES);
  });

  test('is accepted with the keys that are usually left out', () => {
    const all = text.replaceAll(/^ {4}# (role|password_file|user): (?=\S+$)/gm, '    $1: ');
    expect(all).not.toBe(text);
    expect(readQuiesce(parse(all))).toMatchObject({ ok: true });
  });

  test.each(ADAPTER_NAMES)('names every key of %s', (adapter) => {
    const known = knownTo({ name: 'x', adapter });
    expect(known.length).toBeGreaterThan(5);
    for (const key of known) expect(entryOf(adapter)).toMatch(new RegExp(`^ +(?:- )?(?:# )?${key}:`, 'm'));
  });

  test('what the databases leave out is what the example says', () => {
    const required = ({ name, adapter }: { name: string; adapter: string }) => ({ name, adapter });
    const databases = shown.apps.filter(({ adapter }: { adapter: string }) => ['postgres', 'mysql', 'redis'].includes(adapter));
    expect(readQuiesce({ apps: databases })).toEqual(readQuiesce({ apps: databases.map(required) }));
  });
});
