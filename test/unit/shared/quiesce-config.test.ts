/** Of quiesce.yaml: what would make a label say more than is true. */
import { expect, test } from 'vitest';
import { MOST_APPS, readQuiesce } from '#shared/quiesce/config';

const apps = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `app-${index}`, adapter: 'sqlite', path: `/srv/${index}.db` }));

test('no more applications than can be named to the host', () => {
  expect(readQuiesce({ apps: apps(MOST_APPS) })).toMatchObject({ ok: true });
  expect(readQuiesce({ apps: apps(MOST_APPS + 1) })).toEqual({
    ok: false,
    problems: [{ path: 'apps', sentence: 'has 65 entries, and may have 64 at the most' }],
  });
});
