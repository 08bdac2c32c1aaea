/** The example files are accepted as they stand, and what they call a default is one. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseConfig } from '#agent/config';
import { loadConfig } from '#controller/config';

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
      limits: { no_such_key: 1 },
    }),
  );
  if (refused.ok) throw new Error('an unknown key was accepted');
  const known = refused.problems.flatMap(({ sentence }) => /known here: (.*)$/.exec(sentence)?.[1]?.split(', ') ?? []);
  expect(known.length).toBeGreaterThan(30);
  for (const key of known) expect(example('agent.yaml')).toMatch(new RegExp(`^[ #-]*(?:"101": \\{)?${key}:`, 'm'));
});

test('controller.yaml: every value is the default', async () => {
  const [shown, bare] = await Promise.all([
    loadConfig(written('shown.yaml', example('controller.yaml'))),
    loadConfig(written('bare.yaml', '')),
  ]);
  expect(shown).toEqual(bare);
});

test('quiesce.yaml is accepted, with its one application', async () => {
  const quiesce = written('quiesce.yaml', example('quiesce.yaml'));
  const config = await loadConfig(written('controller.yaml', stringify({ quiesce })));
  expect(config.apps.map(({ name }) => name)).toEqual(['notes']);
  expect(config.holdMaxMs).toBe(60_000);
});
