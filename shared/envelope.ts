/** The one shape of every answer, errors included. */
import { Type } from 'typebox';
import { typed } from './endpoint.ts';

export interface Envelope<Data = unknown> {
  ok: boolean;
  data: Data | null;
  /** A sentence for people; empty on success. */
  error: string;
  /** A stable word for programs; empty on success. */
  code: string;
}

export const EnvelopeSchema = typed(
  Type.Object({ ok: Type.Boolean(), data: Type.Unknown(), error: Type.String(), code: Type.String() }),
);

export const success = <Data>(data: Data): Envelope<Data> => ({ ok: true, data, error: '', code: '' });

export const failure = (code: string, error: string, data: object | null = null): Envelope<object> => ({
  ok: false,
  data,
  error,
  code,
});
