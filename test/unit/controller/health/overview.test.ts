import { expect, test } from 'vitest';
import { takeOverview } from '#controller/health/overview';
import { AgentError } from '#controller/ports/agent-error';
import type { AnyEndpoint } from '#shared/endpoint';

const overviewOf = async (call: (endpoint: AnyEndpoint, options: { query?: unknown }) => unknown) => {
  const asked: string[] = [];
  const agent = {
    where: async () => ({ vmid: 101, endpoints: [] }),
    call: (async (endpoint: AnyEndpoint, options: { query?: unknown }) => {
      asked.push(`${endpoint.path} ${JSON.stringify(options)}`);
      return call(endpoint, options);
    }) as never,
  };
  const own = async () => ({ loop: null, last: null });
  const quiesced = async () => ({ ok: false as const, code: 'unreachable' as const, error: 'Nobody listens.' });
  return { asked, overview: await takeOverview({ agent, own, quiesced }, '2026-03-01T07:00:00.000Z') };
};

test('asks for as many archives as one answer holds, and never whether a backup is due', async () => {
  const { asked, overview } = await overviewOf(() => ({}));
  expect(asked).toContain('/backups {"query":{"limit":"200"}}');
  expect(asked).toContain('/problems {}');
  expect(asked).toContain('/coverage {}');
  expect(asked.join()).not.toContain('/backup/due');
  expect(overview.archives).toEqual({ known: true, value: {} });
  expect(overview.quiesced).toEqual({ known: false, code: 'unreachable', error: 'Nobody listens.' });
});

test('an endpoint that the agent does not have is told in plain words', async () => {
  const { overview } = await overviewOf(({ path }) => {
    if (path === '/problems') throw new AgentError('not-found', 'There is nothing at this path.');
    return {};
  });
  expect(overview.problems).toEqual({
    known: false,
    code: 'not-found',
    error: 'The agent on the host is of an older version, which does not say that.',
  });
  expect(overview.archives.known).toBe(true);
});
