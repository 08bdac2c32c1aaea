import { expect, test } from 'vitest';
import { refuse } from '#agent/http/answer';
import { FelhomError } from '#shared/errors';
import { assignDisk, ejectDisk } from '#shared/wire/disks';

const answered = (endpoint: typeof ejectDisk | typeof assignDisk, fault: FelhomError) => {
  const { status, text } = refuse({ endpoint, fault, vmid: 101, body: {} });
  return { status, ...(JSON.parse(text) as object) };
};

test('a refused eject names the guests that would lose something', () => {
  const fault = new FelhomError('drive-in-use', 'Still used by guest 105.', undefined, { dependentGuests: [105] });
  expect(answered(ejectDisk, fault)).toEqual({
    status: 200,
    ok: false,
    data: { vmid: 101, ejected: false, dependent_guests: [105] },
    error: 'Still used by guest 105.',
    code: 'drive-in-use',
  });
});

test('an eject that is refused for anything else names none', () => {
  expect(answered(ejectDisk, new FelhomError('not-assigned', 'No.'))).toMatchObject({ data: { dependent_guests: [] } });
});

test('a refused assign carries no data', () => {
  const fault = new FelhomError('drive-in-use', 'No.', undefined, { dependentGuests: [105] });
  expect(answered(assignDisk, fault)).toMatchObject({ status: 200, ok: false, data: null });
});
