import { Value } from 'typebox/value';
import { expect, test } from 'vitest';
import { createDisks } from '#agent/disks/service';
import { FelhomError } from '#shared/errors';
import { assignDisk, Disks, ejectDisk, formatDisk } from '#shared/wire/disks';

test('the empty list says why it is empty', () => {
  const answer = createDisks().list(101);
  expect(Value.Check(Disks, answer)).toBe(true);
  expect(answer).toMatchObject({ vmid: 101, disks: [], reason: expect.stringMatching(/does not list drives yet/) });
});

const refusalOf = (call: () => never): FelhomError => {
  try {
    return call();
  } catch (error) {
    expect(error).toBeInstanceOf(FelhomError);
    return error as FelhomError;
  }
};

const { assign, eject, format } = createDisks();

test.each([
  ['assign', assign, assignDisk, { status: 200, data: null }],
  ['eject', eject, ejectDisk, { status: 200, data: { vmid: 101, ejected: false, dependent_guests: [] } }],
  ['format', format, formatDisk, { status: 409, data: { vmid: 101, device: '/dev/sdb', formatted: false, data_bearing: true } }],
] as const)('%s is refused with a sentence and what to do, in the form that clients read', (_name, call, endpoint, answer) => {
  const { code, message } = refusalOf(call);
  expect(code).toBe('not-supported-yet');
  expect(message).toMatch(/cannot .* yet\. .*operator/);
  const facts = { status: 409, code, error: message, vmid: 101, body: { device: '/dev/sdb' } };
  expect(endpoint.refusal?.(facts)).toMatchObject(answer);
});
